import { copySelected } from "./copy.js";
import { badges, hasCredentials, launchLink, problemOf, providerOf, readAddress, specOf, webhookPage } from "./links.js";

const { repoProviders, badgeBaseUrl, baseUrl, webhooks = {} } = window.pageConfig;
const byId = (id) => document.getElementById(id);
const fields = ["provider", "repo", "ref", "path", "path-kind"].map(byId);
const [provider, repo, ref, path, pathKind] = fields;
const complaint = byId("repo-problem");

for (const each of repoProviders) provider.add(new Option(each.displayName, each.id));

const chosen = () => repoProviders.find((each) => each.id === provider.value);
const problem = () => (repo.value.trim() ? problemOf(chosen(), repo.value, ref.value) : "");

function link(base) {
  const file = path.value.trim() || readAddress(chosen(), repo.value).file;
  return launchLink(base, provider.value, specOf(chosen(), repo.value, ref.value), file, pathKind.value);
}

function showFields() {
  const { repo: words, ref: itsRef } = chosen();
  const address = readAddress(chosen(), repo.value);
  byId("repo-label").textContent = words.label;
  repo.placeholder = words.placeholder;
  byId("ref-field").hidden = !itsRef.enabled;
  ref.placeholder = address.ref || itsRef.default || "";
  path.placeholder = address.file || "nothing in particular";
}

function showLinks() {
  const url = repo.value.trim() && !problem() ? link(badgeBaseUrl) : "";
  const { markdown, rst } = url ? badges(badgeBaseUrl, url) : { markdown: "", rst: "" };
  byId("link").value = url;
  byId("markdown").value = markdown;
  byId("rst").value = rst;
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = !url;
}

function showWebhook() {
  const section = byId("prebuild");
  if (!section) return;
  const webhook = webhooks[provider.value];
  section.hidden = !webhook || !byId("link").value;
  if (section.hidden) return;
  byId("webhook").value = webhook.url;
  byId("webhook-page").href = webhookPage(provider.value, webhook.site, readAddress(chosen(), repo.value).name);
  for (const line of section.querySelectorAll("[data-webhook]")) line.hidden = line.dataset.webhook !== provider.value;
}

function complain(sentence) {
  complaint.textContent = sentence;
  repo.setAttribute("aria-invalid", String(Boolean(sentence)));
}

function show() {
  showFields();
  showLinks();
  showWebhook();
  // Nobody is told off in the middle of a word; but a password must not stay unnoticed.
  if (!problem() || complaint.textContent || hasCredentials(repo.value)) complain(problem());
}

// A pasted address says itself which kind of repository it is.
repo.addEventListener("input", () => {
  provider.value = providerOf(repoProviders, repo.value, chosen()).id;
});
for (const field of fields) {
  field.addEventListener("input", show);
  field.addEventListener("change", () => complain(problem()));
}
byId("link-form").addEventListener("submit", (event) => {
  event.preventDefault();
  complain(problem());
  if (problem()) repo.focus();
  else window.location.assign(link(new URL(baseUrl, window.location)));
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => {
    const field = byId(button.dataset.copy);
    field.select();
    copySelected(button, field.value);
  });
}
show();
