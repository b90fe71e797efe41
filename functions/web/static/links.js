// Launch links, made and read: pure functions, shared by the form and the loading page.

// How a repository is written, for the kinds of which we know more than their validateRegex says.
const WRITTEN = {
  gh: [/^[\w-]+\/[\w.-]+$/, "A GitHub repository is written owner/name."],
  git: [/^(https?|file):\/\/[^\s?#\\]+$/i, "The address of a git repository begins with https://, and holds no ? or #."],
};
// Addresses of GitHub's own pages for a branch or a file.
const BROWSED = /^([^/]+\/[^/]+)\/(tree|blob)\/([^/]+)(?:\/(.+))?$/;

/** What a typed or pasted address says: the repository's name, and the ref and file if it names some. */
export function readAddress(provider, text) {
  const typed = text.trim();
  if (!provider.detect) return { name: trimSlashes(typed), ref: "", file: "" };
  const address = /^https?:/i.test(typed) ? typed.replace(/[?#].*$/, "") : typed;
  const name = trimSlashes(new RegExp(provider.detect.regex).exec(address)?.groups.repo ?? address);
  const [, repo, kind, ref, rest] = (provider.id === "gh" && BROWSED.exec(name)) || [];
  if (!repo) return { name, ref: "", file: "" };
  return { name: repo, ref: decoded(ref), file: kind === "blob" ? decoded(rest ?? "") : "" };
}

/** The provider that an address belongs to; `current` when it does not say. */
export function providerOf(providers, text, current) {
  if (!/^https?:\/\//i.test(text.trim())) return current;
  const known = providers.find((each) => each.detect && !/^https?:/i.test(readAddress(each, text).name));
  const anyGit = providers.find((each) => each.id === "git");
  return known ?? (current.detect && anyGit ? anyGit : current);
}

/** What is wrong with an address, as a sentence for whoever typed it; empty when nothing is. */
export function problemOf(provider, text, ref) {
  const typed = text.trim();
  if (hasCredentials(typed)) return "Leave user names and passwords out of the address: everyone can read the link.";
  if (/^((git\+)?ssh:|[^/\s]+@[^/\s]+:)/i.test(typed)) return "Repositories cannot be fetched by ssh. Use the https address.";
  const { name } = readAddress(provider, typed);
  const [pattern, sentence] = WRITTEN[provider.id] ?? [/./, "This does not look like a repository of the chosen kind."];
  const spec = specOf(provider, typed, ref).replace(/\/$/, "");
  const dots = /(^|\/)\.{1,2}(\/|$)/;
  const fits = pattern.test(name) && new RegExp(`^(?:${provider.spec.validateRegex})$`).test(spec);
  return fits && !dots.test(name) && !dots.test(ref.trim()) ? "" : sentence;
}

/** Whether an address holds a user name or password. */
export function hasCredentials(text) {
  return /^[a-z][a-z0-9+.-]*:\/\/[^/]*@/i.test(text.trim());
}

/** The spec of a provider's repository at a ref, as it stands in links. */
export function specOf(provider, text, ref) {
  const address = readAddress(provider, text);
  const name = provider.repo.urlEncode ? encodeURIComponent(address.name) : encodePath(address.name);
  if (!provider.ref.enabled) return `${name}/`;
  return `${name}/${encodePath(ref.trim() || address.ref || provider.ref.default)}`;
}

/** The launch link of a spec; `path` may name what to open, by one of BinderHub's three parameters. */
export function launchLink(base, providerId, spec, path, pathKind) {
  const link = new URL(`v2/${providerId}/${spec}`, base);
  if (path.trim()) link.searchParams.set(pathKind, path.trim());
  return link.toString();
}

/** The badge that leads to a link, for README files. */
export function badges(base, link) {
  const picture = new URL("badge_logo.svg", base);
  return { markdown: `[![Binder](${picture})](${link})`, rst: `.. image:: ${picture}\n   :target: ${link}` };
}

/** Where the webhooks of a repository are added, on the site of its host. */
export function webhookPage(providerId, site, name) {
  return `${site}/${encodePath(name)}/${providerId === "gl" ? "-/hooks" : "settings/hooks/new"}`;
}

/** Where to go in a server that is ready. A path that would lead out of it, token and all, is not followed. */
export function serverAddress(ready, query) {
  const server = new URL(ready.url);
  const path = innerPath(query);
  // "./" makes it a path, whatever it begins with: never another scheme or host.
  let target = new URL(`./${path}`, server);
  const leaves = !target.pathname.startsWith(server.pathname) || /\.\.(%2f|%5c)|(%2f|%5c)\.\./i.test(target.pathname);
  if (leaves || /^[a-z][a-z0-9+.-]*:/i.test(path)) target = server;
  target.searchParams.set("token", ready.token);
  return target.toString();
}

// As BinderHub reads them, in its order.
function innerPath(query) {
  for (const [name, folder] of [["labpath", "doc/tree/"], ["filepath", "tree/"]]) {
    if (query.get(name)) return folder + encodeURI(trimSlashes(query.get(name)));
  }
  return (query.get("urlpath") ?? "").trim().replace(/^\/+/, "");
}

const trimSlashes = (text) => text.replace(/^\/+|\/+$/g, "");
const encodePath = (text) => encodeURI(text).replace(/[?#]/g, encodeURIComponent);

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
