import { copySelected } from "./copy.js";
import { serverAddress } from "./links.js";
import { LogView, plain } from "./log.js";

const STEPS = ["waiting", "building", "launching", "ready"];
const STEP_OF = {
  waiting: "waiting", fetching: "building", building: "building", pushing: "building", unknown: "building",
  built: "launching", launching: "launching", ready: "ready",
};
const SAID = {
  waiting: ["Waiting for the build to begin…", "This version of the repository has not been built here yet."],
  building: ["Installing the repository's software…", "Done once for each version: some minutes now, seconds next time. You may leave and come back to this page."],
  launching: ["Starting your server…", "The software is installed; your own Jupyter server starts."],
  ready: ["Ready", "Taking you there."],
};
const ADVICE = {
  400: "Something is wrong with this link.",
  403: "Whoever runs this hub has not permitted it.",
  404: "Check the link for typing errors, and that the repository is public.",
  410: "Launch again to get a new one.",
  422: "The end of the log says why. After a change in the repository, launch it again.",
  429: "Please try again in a few minutes.",
};
// Until a gateway in front of us has recovered; EventSource itself comes back only to connections that broke.
const PAUSES_S = [1, 2, 4, 8, 15, 30];

// Who listens to the page is told of a place in the queue now and then; who looks at it sees every change.
const SPOKEN_EVERY_MS = 30_000;

const byId = (id) => document.getElementById(id);
const page = byId("launch");
const log = new LogView(byId("log"));
const { provider, spec } = page.dataset;
const { baseUrl, buildToken } = window.pageConfig;
const pass = buildToken ? `?build_token=${encodeURIComponent(buildToken)}` : "";
const title = document.title;
const looking = byId("status").textContent;

let launch = "";
let reached = -1;
let queue = null;
let spoken = { position: 0, at: -Infinity };
let failures = 0;
let began = Date.now();

function show(status, hint = "") {
  byId("status").textContent = status;
  byId("hint").textContent = hint;
  document.title = `${status} ${title}`;
}

function say(status, hint = "") {
  show(status, hint);
  byId("said").textContent = status;
  spoken = { position: 0, at: -Infinity };
}

function showQueue({ position, estimate_s: seconds }) {
  const status = `Number ${position} in the queue`;
  const left = inAbout(seconds);
  show(status, `${left ? `Your turn comes in ${left}. ` : ""}Stay on this page: who is away is passed over.`);
  const isNext = position === 1 && spoken.position !== 1;
  if (!isNext && Date.now() - spoken.at < SPOKEN_EVERY_MS) return;
  byId("said").textContent = left ? `${status}, ${left}` : status;
  spoken = { position, at: Date.now() };
}

function inAbout(seconds) {
  if (seconds === null) return "";
  const minutes = Math.round(seconds / 60);
  return minutes > 1 ? `about ${minutes} minutes` : minutes ? "about a minute" : "less than a minute";
}

function showNow() {
  if (queue) showQueue(queue);
  else say(...(reached < 0 ? [looking] : SAID[STEPS[reached]]));
}

function showStep(step) {
  reached = step;
  showNow();
  for (const [at, item] of [...byId("phases").children].entries()) {
    item.className = at < reached ? "done" : at === reached ? "current" : "";
    if (at === reached) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function showElapsed() {
  const seconds = Math.max(0, Math.round((Date.now() - began) / 1000));
  const minutes = Math.floor(seconds / 60);
  byId("elapsed").textContent = minutes ? `${minutes} min ${String(seconds % 60).padStart(2, "0")} s` : `${seconds} s`;
}

// A reload comes back to the same launch, whose time goes on.
function enter(id) {
  if (launch) log.clear();
  launch = id;
  reached = -1;
  queue = null;
  if (history.state?.launch === id) began = history.state.began;
  else history.replaceState({ launch, began }, "");
  showElapsed();
}

function hear(event, id) {
  failures = 0;
  if (id && id !== launch) enter(id);
  const phase = (event.phase ?? "building").toLowerCase();
  // That there is a queue is a line of the log; how it moves is not.
  if (event.message && !(event.queue && queue)) log.write(event.message);
  if (phase === "failed") return fail(event.message ?? "", event.status_code);
  // A launch only ever gets further, and most events are lines of a log.
  const step = STEPS.indexOf(event.queue ? "launching" : STEP_OF[phase]);
  const waited = queue !== null;
  queue = event.queue ?? null;
  if (step > reached) showStep(step);
  else if (queue || waited) showNow();
  // What the Hub says of the start, or why it has to wait.
  if (STEPS[reached] === "launching" && phase !== "built" && !queue) byId("hint").textContent = plain(event.message ?? "");
  if (phase === "ready") finish(event);
}

function fail(reason, status) {
  end();
  page.classList.add("failed");
  say("The launch failed");
  byId("reason").textContent = reason.trim();
  byId("advice").textContent = ADVICE[status] ?? "This may pass: please try again in a moment.";
  byId("failure").hidden = false;
}

function finish(event) {
  end();
  const address = serverAddress(event, new URLSearchParams(window.location.search));
  byId("server").href = address;
  byId("ready").hidden = false;
  // Back should lead to the page before this one, not into another launch.
  window.location.replace(address);
}

let source = null;
const ticking = setInterval(showElapsed, 1000);

function end() {
  source?.close();
  clearInterval(ticking);
  showElapsed();
}

function follow() {
  source = new EventSource(`${baseUrl}build/${provider}/${spec}${pass}`);
  source.onopen = showNow;
  source.onmessage = (message) => hear(JSON.parse(message.data), message.lastEventId.split(".")[0]);
  source.onerror = lost;
}

function lost() {
  say("Connection lost; coming back…", "Nothing is lost: the launch goes on meanwhile.");
  if (source.readyState !== EventSource.CLOSED) return;
  if (failures === PAUSES_S.length) return fail("This hub does not answer.");
  setTimeout(follow, PAUSES_S[failures++] * 1000);
  // A new EventSource does not know how much it has been told; it will hear the story from its beginning.
  log.clear();
}

byId("retry").addEventListener("click", () => window.location.reload());
byId("copy-log").addEventListener("click", (click) => {
  getSelection().selectAllChildren(byId("log"));
  copySelected(click.target, byId("log").textContent);
});

// A page that the browser loads only in case somebody may want it must not start a server.
if (document.prerendering) document.addEventListener("prerenderingchange", follow, { once: true });
else follow();
