import { serverAddress } from "./links.js";

const byId = (id) => document.getElementById(id);
const { provider, spec } = byId("launch").dataset;
const log = byId("log");
const order = ["waiting", "building", "launching", "ready"];
const stepOf = { waiting: "waiting", fetching: "building", building: "building", pushing: "building", unknown: "building", built: "launching", launching: "launching", ready: "ready" };
const titles = { waiting: "Waiting…", building: "Building the environment…", launching: "Starting the server…", ready: "Ready" };
const MOST_LOG_CHARACTERS = 500_000;

let reached = -1;
let over = false;

function showStep(step) {
  reached = Math.max(reached, order.indexOf(step));
  byId("status").textContent = titles[order[reached]];
  for (const item of byId("phases").children) {
    const at = order.indexOf(item.dataset.phase);
    item.className = at < reached ? "done" : at === reached ? "current" : "";
    if (at === reached) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function append(text) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(text.endsWith("\n") ? text : `${text}\n`);
  if (log.textContent.length > MOST_LOG_CHARACTERS) log.textContent = log.textContent.slice(-MOST_LOG_CHARACTERS / 2);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function fail(reason) {
  byId("status").textContent = "The launch failed";
  byId("launch").classList.add("failed");
  byId("reason").textContent = reason.trim();
  byId("reason").hidden = false;
  byId("again").hidden = false;
}

function finish(event) {
  const address = serverAddress(event, new URLSearchParams(window.location.search));
  byId("server").href = address;
  byId("ready").hidden = false;
  // Back should lead to the page before this one, not into another launch.
  window.location.replace(address);
}

const source = new EventSource(`/build/${provider}/${spec}`);

source.onmessage = (message) => {
  const event = JSON.parse(message.data);
  const phase = (event.phase || "building").toLowerCase();
  if (event.message) append(event.message);
  if (phase === "failed" || phase === "ready") {
    over = true;
    source.close();
  }
  if (phase === "failed") return fail(event.message || "The launch failed.");
  if (stepOf[phase]) showStep(stepOf[phase]);
  if (phase === "ready") finish(event);
};

source.onerror = () => {
  if (over) return;
  // The browser comes back by itself, with the number of the last event; only a refusal is final.
  if (source.readyState === EventSource.CLOSED) fail("The connection was refused. Please try again.");
  else byId("status").textContent = "Connection lost; coming back…";
};

source.onopen = () => {
  if (reached >= 0) showStep(order[reached]);
};

byId("retry").addEventListener("click", () => window.location.reload());
