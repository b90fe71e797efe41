import { launchLink, specOf } from "./links.js";

const { repoProviders, badgeBaseUrl } = window.pageConfig;
const byId = (id) => document.getElementById(id);
const fields = ["provider", "repo", "ref", "path", "path-kind"].map(byId);
const [provider, repo, ref, path, pathKind] = fields;

for (const each of repoProviders) provider.add(new Option(each.displayName, each.id));

const chosen = () => repoProviders.find((each) => each.id === provider.value);

function link() {
  const spec = repo.value.trim() && specOf(chosen(), repo.value, ref.value);
  return spec ? launchLink(badgeBaseUrl, provider.value, spec, path.value, pathKind.value) : "";
}

function problem() {
  const text = repo.value.trim();
  if (!text) return "";
  const spec = specOf(chosen(), text, ref.value);
  if (/^[a-z]+:\/\/[^/]*@/.test(text)) return "Leave user names and passwords out of the address: everyone will see the link.";
  return new RegExp(`^(${chosen().spec.validateRegex})$`).test(spec.replace(/\/$/, "")) ? "" : "This does not look like a repository of the chosen kind.";
}

function show() {
  const current = chosen();
  byId("repo-label").textContent = current.repo.label;
  repo.placeholder = current.repo.placeholder;
  byId("ref-field").hidden = !current.ref.enabled;
  const wrong = problem();
  byId("repo-problem").textContent = wrong;
  byId("repo-problem").hidden = !wrong;
  repo.setAttribute("aria-invalid", String(Boolean(wrong)));
  const url = wrong ? "" : link();
  const badge = new URL("badge_logo.svg", badgeBaseUrl);
  byId("link").textContent = url || "Fill in the fields above";
  byId("markdown").textContent = url && `[![Binder](${badge})](${url})`;
  byId("rst").textContent = url && `.. image:: ${badge}\n   :target: ${url}`;
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = !url;
}

// A pasted address says itself which kind of repository it is.
function detectProvider() {
  const text = repo.value.trim();
  if (!/^https?:\/\//.test(text)) return;
  const hosts = { gh: /^https?:\/\/github\.com\//, gist: /^https?:\/\/gist\.github\.com\//, gl: /^https?:\/\/gitlab\.com\// };
  const known = Object.keys(hosts).find((id) => hosts[id].test(text) && repoProviders.some((each) => each.id === id));
  const other = repoProviders.some((each) => each.id === "git") ? "git" : provider.value;
  provider.value = known || (["gh", "gist", "gl"].includes(provider.value) ? other : provider.value);
}

repo.addEventListener("input", detectProvider);
for (const field of fields) field.addEventListener("input", show);
byId("link-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = link();
  if (url && !problem()) window.location.assign(url);
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
show();
