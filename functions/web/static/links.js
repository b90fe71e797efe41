// Launch links, made and read: pure functions, shared by the form and the loading page.

/** The spec of a provider's repository at a ref, as it stands in links. */
export function specOf(provider, repo, ref) {
  const text = repo.trim();
  const detect = provider.detect && new RegExp(provider.detect.regex).exec(text);
  const name = (detect ? detect.groups.repo : text).replace(/^\/+|\/+$/g, "");
  const encoded = provider.repo.urlEncode ? encodeURIComponent(name) : name;
  if (!provider.ref.enabled) return `${encoded}/`;
  return `${encoded}/${ref.trim() || provider.ref.default}`;
}

/** The launch link of a spec; `path` may name what to open, by one of BinderHub's three parameters. */
export function launchLink(base, providerId, spec, path, pathKind) {
  const link = new URL(`v2/${providerId}/${spec}`, base);
  if (path.trim()) link.searchParams.set(pathKind, path.trim());
  return link.toString();
}

/** Where to go in a server that is ready. A path that would lead elsewhere, token and all, is not followed. */
export function serverAddress(ready, query) {
  const server = new URL(ready.url);
  const inner = innerPath(query);
  let target = server;
  try {
    target = new URL(inner, server);
  } catch {
    target = new URL(server);
  }
  if (target.origin !== server.origin || !target.pathname.startsWith(server.pathname)) target = new URL(server);
  target.searchParams.set("token", ready.token);
  return target.toString();
}

function innerPath(query) {
  const lab = query.get("labpath");
  if (lab) return `doc/tree/${encodeURI(lab.replace(/^\/+/, ""))}`;
  const file = query.get("filepath");
  if (file) return `tree/${encodeURI(file.replace(/^\/+/, ""))}`;
  return (query.get("urlpath") || "").replace(/^\/+/, "");
}
