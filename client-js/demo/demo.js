// The demo page: a facilitator's bell beside a form that acts as the back end.
//
// Both halves use the stock socket.io-client, each over a connection of its own, and know nothing of each other:
// whatever the bell shows came through the server. Everything from the wire is set as text, never as HTML.

const $ = (id) => document.getElementById(id);

let config = JSON.parse($("config").textContent);
const SHOWN_BOOKINGS = 100;
const SHOWN_ANSWERS = 4;
const KEPT_WIRE_ROWS = 200;
/** Milliseconds without an answer before the page says so. */
const PATIENCE = 6000;

/** An element with a class and children; strings become text nodes. */
function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child != null));
  return node;
}

// ---------------------------------------------------------------------------------------------------------- times

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const startParts = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const startFormat = new Intl.DateTimeFormat(undefined, startParts);
const farStartFormat = new Intl.DateTimeFormat(undefined, { ...startParts, year: "numeric" });
const agoFormat = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** A time from the wire. Without a zone it means UTC, where the browser would read local time. */
function parseTime(text) {
  if (typeof text !== "string") return null;
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes("T");
  const date = new Date(zoned ? text : `${text}Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** Local time; the year only when it is another one. */
function startText(date) {
  return (date.getFullYear() === new Date().getFullYear() ? startFormat : farStartFormat).format(date);
}

function ago(date) {
  const seconds = Math.round((date - Date.now()) / 1000);
  if (seconds > -5) return "just now";
  if (seconds > -60) return agoFormat.format(Math.ceil(seconds / 5) * 5, "second");
  if (seconds > -3600) return agoFormat.format(Math.ceil(seconds / 60), "minute");
  if (seconds > -86400) return agoFormat.format(Math.ceil(seconds / 3600), "hour");
  return agoFormat.format(Math.ceil(seconds / 86400), "day");
}

function timeNode(date, text, className) {
  const node = el("time", className, text);
  if (date) node.dateTime = date.toISOString();
  return node;
}

// ------------------------------------------------------------------------------------------------------- wire log

/** Tokens are cut short on screen: people take screenshots. */
const hideTokens = (key, value) => (key === "token" && typeof value === "string" ? `${value.slice(0, 8)}…` : value);

function stamp(date) {
  const two = (n, width = 2) => String(n).padStart(width, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
}

/** One row: `route` says who spoke to whom, `args` are the event's arguments (none for a remark). */
function logWire(role, kind, route, name, args = []) {
  const now = new Date();
  const payload = args.filter((arg) => typeof arg !== "function").map((arg) => JSON.stringify(arg, hideTokens));
  const when = timeNode(now, stamp(now));
  const row = el("li", `wire-row ${kind}`);
  row.dataset.role = role;
  if (payload.length) {
    const full = args.filter((arg) => typeof arg !== "function").map((arg) => JSON.stringify(arg, hideTokens, 2));
    row.append(el("details", "",
      el("summary", "",
        el("span", "wire-line", when, el("span", "route", route)),
        el("span", "wire-line", el("code", "event", name), el("span", "peek", payload.join(", ")))),
      el("pre", "", full.join(",\n"))));
  } else {
    row.append(el("p", "wire-line remark", when, el("span", "", `${route} ${name}`)));
  }
  const log = $("wire");
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  log.append(row);
  while (log.children.length > KEPT_WIRE_ROWS) log.firstChild.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

// `toggle` does not bubble, so it is caught on the way down.
$("wire").addEventListener("toggle", ({ target }) => { if (target.open) target.scrollIntoView({ block: "nearest" }); }, true);
$("clear").addEventListener("click", () => $("wire").replaceChildren());

// -------------------------------------------------------------------------------------------------------- sockets

/**
 * A stock client that comes back whatever happens, and writes all it says and hears to the wire log.
 * `onState` hears `connecting`, `connected`, `lost`, `closed` (the last: by our own wish).
 */
function openSocket(role, onState) {
  const socket = window.io({ forceNew: true, autoConnect: false, reconnectionDelay: 400, reconnectionDelayMax: 2000 });
  const out = `${role} → server`;
  const back = `server → ${role}`;
  let again = 0;
  const connectAgain = () => {
    clearTimeout(again);
    again = setTimeout(() => { if (wanted) socket.connect(); }, 1000);
  };
  let wanted = false;
  let complained = false;

  socket.onAny((event, ...args) => logWire(role, "in", back, event, args));
  socket.onAnyOutgoing((event, ...args) => logWire(role, "out", out, event, args));
  socket.on("connect", () => {
    complained = false;
    const engine = socket.io.engine;
    logWire(role, "note", role, `connected by ${engine.transport.name}`);
    engine.once("upgrade", (transport) => logWire(role, "note", role, `upgraded to ${transport.name}`));
    onState("connected");
  });
  socket.on("disconnect", (reason) => {
    logWire(role, "note", role, `disconnected: ${reason}`);
    onState(wanted ? "lost" : "closed");
    if (reason === "io server disconnect") connectAgain(); // The one case the client leaves to us.
  });
  socket.on("connect_error", (error) => {
    if (!complained) logWire(role, "note", role, `cannot connect: ${error.message}; trying again`);
    complained = true;
    onState("lost");
    if (!socket.active) connectAgain();
  });
  return {
    socket,
    open() { wanted = true; onState("connecting"); socket.connect(); },
    close() { wanted = false; clearTimeout(again); socket.disconnect(); onState("closed"); },
  };
}

/** Tokens expire, and a restarted server may have new secrets: takes new ones from a fresh copy of this page. */
async function renewTokens() {
  try {
    const page = await (await fetch(location.pathname, { cache: "no-store" })).text();
    config = JSON.parse(new DOMParser().parseFromString(page, "text/html").getElementById("config").textContent);
    showCode();
  } catch {
    // Still away, or no longer a development server: the old tokens stay, and the page says that they were refused.
  }
}

/**
 * Shows a token on every connection; when it is refused, tries once more with a new one.
 * `login` emits the event with the token it is given; `refused` hears the final no.
 */
function authenticate(socket, tokenNow, login, refused) {
  let shown = null;
  let renewed = false;
  const show = () => { shown = tokenNow(); login(shown); };
  socket.on("auth_error", async ({ error } = {}) => {
    if (!renewed) {
      renewed = true;
      if (tokenNow() === shown) await renewTokens(); // The page's other half may have been here before.
      if (tokenNow() !== shown && socket.connected) return show();
    }
    refused(error);
  });
  return { show, succeeded: () => { renewed = false; } };
}

// ---------------------------------------------------------------------------------------------------------- steps

function stepDone(name) {
  const step = document.querySelector(`[data-step="${name}"]`);
  if (!step || step.classList.contains("is-done")) return;
  step.classList.add("is-done");
  step.querySelector(".step-mark").textContent = "✓";
  step.querySelector(".step-done").textContent = " (done)";
  document.querySelectorAll(".step").forEach((other) => other.classList.remove("is-next"));
  document.querySelector(".step:not(.is-done)")?.classList.add("is-next");
}

// ----------------------------------------------------------------------------------------------------------- bell

/** What each facilitator has on this page: facilitator id → notification id → entry. */
const inboxes = new Map(config.facilitators.map(({ id }) => [id, new Map()]));
const asked = Number(new URLSearchParams(location.search).get("facilitator"));
let me = inboxes.has(asked) ? asked : config.facilitators[0].id;
let authenticated = false;

const personOf = (id) => config.facilitators.find((person) => person.id === id);
const nameOf = (id) => personOf(id)?.name ?? `Facilitator ${id}`;
const entries = () => [...inboxes.get(me).values()];

const bell = openSocket("facilitator", (state) => {
  authenticated = false;
  entries().forEach((entry) => { entry.marking = false; });
  if (state === "connected") {
    bellLogin.show();
  } else {
    showBellState(state);
  }
  refresh();
});

const bellLogin = authenticate(
  bell.socket,
  () => personOf(me)?.token,
  (token) => bell.socket.emit("facilitator_connect", { facilitator_id: me, token }),
  (error) => {
    authenticated = false;
    showBellState("refused", error);
    refresh();
  },
);

bell.socket.on("facilitator_auth_success", () => {
  authenticated = true;
  bellLogin.succeeded();
  showBellState("online");
  bell.socket.emit("get_pending_notifications", { facilitator_id: me });
  refresh();
});

bell.socket.on("new_booking_notification", (booking) => {
  const entry = receive(booking, "live");
  if (!entry) return;
  ring(`New booking from ${entry.userName} for ${entry.title}`);
  stepDone("send");
  refresh();
});

bell.socket.on("pending_notifications", ({ notifications = [] } = {}) => {
  const listed = new Set(notifications.map((booking) => booking.notification_id));
  // What waited before and waits no longer was read in another tab while this one was away.
  entries().filter((entry) => entry.state === "stored" && !listed.has(entry.id)).forEach((entry) => { entry.read = true; });
  const fresh = notifications.map((booking) => receive(booking, "stored")).filter(Boolean);
  if (fresh.length) {
    ring(fresh.length === 1 ? `One booking was waiting: ${fresh[0].userName}, ${fresh[0].title}` : `${fresh.length} bookings were waiting`);
    stepDone("return");
  }
  refresh();
});

bell.socket.on("notification_marked_read", ({ notification_id: id } = {}) => {
  const entry = inboxes.get(me).get(id);
  if (!entry) return;
  const held = entry.node.contains(document.activeElement);
  Object.assign(entry, { read: true, marking: false });
  stepDone("read");
  refresh();
  if (held) (document.querySelector("#bookings .mark") ?? $("list-title")).focus(); // The focused button is gone.
});

bell.socket.on("error", ({ error } = {}) => {
  entries().forEach((entry) => { entry.marking = false; });
  $("bell-status").textContent = `The server said: ${error ?? "error"}`;
  refresh();
});

/** Keeps a booking; returns the entry if it is new here. */
function receive(booking, state) {
  const inbox = inboxes.get(me);
  const id = booking?.notification_id;
  if (id == null || inbox.has(id)) return null;
  const entry = {
    id,
    state,
    booking,
    userName: String(booking.user?.name ?? "Somebody"),
    title: String(booking.session?.title ?? "a session"),
    sentAt: parseTime(booking.stored_at) ?? parseTime(booking.timestamp) ?? new Date(),
    receivedAt: new Date(),
    read: false,
    marking: false,
  };
  entry.node = buildEntry(entry);
  inbox.set(id, entry);
  setTimeout(() => entry.node.classList.remove("fresh"), 1500);
  return entry;
}

function buildEntry(entry) {
  const { booking } = entry;
  const starts = parseTime(booking.session?.start_time);
  const email = booking.user?.email;
  const stored = entry.state === "stored";
  entry.received = el("span", "received");
  entry.action = el("span", "action");
  const node = el("li", "booking fresh",
    el("div", "booking-body",
      el("p", "booking-title", el("b", "", entry.userName), " booked ", el("b", "", entry.title)),
      el("p", "booking-when",
        timeNode(starts, starts ? startText(starts) : String(booking.session?.start_time ?? "")),
        email ? el("span", "email", String(email)) : null),
      el("p", "booking-meta", el("span", `chip ${entry.state}`, stored ? "stored while you were away" : "live"), entry.received)),
    entry.action);
  node.dataset.notification = entry.id;
  return node;
}

function markRead(entry) {
  if (!authenticated || entry.marking || entry.read) return;
  entry.marking = true;
  bell.socket.emit("mark_notification_read", { facilitator_id: me, notification_id: entry.id });
  refresh();
}

/** Brings one entry's changeable parts up to date. */
function refreshEntry(entry) {
  entry.node.classList.toggle("is-read", entry.read);
  const received = `received ${ago(entry.receivedAt)}`;
  entry.received.textContent = `#${entry.booking.booking_id} · ${received}`;
  if (entry.read) {
    if (!entry.action.querySelector(".read")) entry.action.replaceChildren(el("span", "read", "✓ Read"));
    return;
  }
  let button = entry.action.querySelector("button");
  if (!button) {
    button = el("button", "mark", "Mark as read", el("span", "sr", `: ${entry.userName}, ${entry.title}`));
    button.type = "button";
    button.addEventListener("click", () => markRead(entry));
    entry.action.replaceChildren(button);
  }
  button.setAttribute("aria-disabled", String(!authenticated || entry.marking)); // Not `disabled`: that would drop the focus.
}

function refresh() {
  const sorted = entries().sort((a, b) => b.sentAt - a.sentAt || b.id - a.id);
  const shown = sorted.slice(0, SHOWN_BOOKINGS);
  shown.forEach(refreshEntry);
  const list = $("bookings");
  let cursor = list.firstChild;
  for (const { node } of shown) {
    if (node === cursor) cursor = cursor.nextSibling;
    else list.insertBefore(node, cursor);
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }

  const unread = sorted.filter((entry) => !entry.read).length;
  const badge = unread > 99 ? "99+" : String(unread);
  for (const id of ["badge", "mini-badge"]) {
    $(id).textContent = badge;
    $(id).hidden = unread === 0;
  }
  $("mini-bell").setAttribute("aria-label", `To the bell, ${unread} unread`);
  $("count").textContent = unread === 0 ? "No unread bookings" : unread === 1 ? "1 unread booking" : `${unread} unread bookings`;
  document.title = unread ? `(${badge}) Carillon demo` : "Carillon demo";
  $("no-bookings").hidden = sorted.length > 0;
  $("more-bookings").hidden = sorted.length <= SHOWN_BOOKINGS;
  $("more-bookings").textContent = `and ${sorted.length - SHOWN_BOOKINGS} older ones`;
}

function showBellState(state, detail) {
  if (state !== "online") stopRinging();
  $("bell").dataset.state = state;
  $("bell-status").textContent = {
    connecting: "Connecting…",
    online: "Listening",
    closed: "Away. New bookings are kept for you.",
    lost: "Connection lost. Coming back by itself…",
    refused: `Refused: ${detail ?? "Invalid token"}. Reload the page for new tokens.`,
  }[state];
}

let quietAgain = 0;
function stopRinging() {
  document.querySelectorAll(".ringing").forEach((node) => node.classList.remove("ringing"));
}

function ring(words) {
  const belfry = $("belfry");
  for (const node of [belfry, $("mini-bell")]) {
    node.classList.remove("ringing");
    void node.offsetWidth; // Starts the animation afresh when it rings while still swinging.
    node.classList.add("ringing");
  }
  clearTimeout(quietAgain);
  quietAgain = setTimeout(stopRinging, 2600);
  $("announce").textContent = words;
  strike();
}

/** The switch really connects and disconnects: the server cannot tell it from a closed laptop. */
function goOnline(wanted) {
  $("online").dataset.on = String(wanted);
  $("online-text").textContent = wanted ? "Go offline" : "Come back";
  if (wanted) bell.open();
  else bell.close();
}
$("online").addEventListener("click", () => goOnline($("online").dataset.on !== "true"));

$("facilitator").addEventListener("change", () => {
  bell.close();
  me = Number($("facilitator").value);
  $("f-facilitator").value = String(me);
  history.replaceState(null, "", `?facilitator=${me}`);
  $("announce").textContent = "";
  showMe();
  refresh();
  goOnline(true);
});

function showMe() {
  $("second-tab").href = `/?facilitator=${me}`;
  showElsewhere();
  showCode();
}

// ---------------------------------------------------------------------------------------------------------- sound

const MELODY = [392, 523.25, 587.33, 659.25, 783.99];
let audio = null;
let note = 0;

/** One soft stroke: a bell is its hum, strike note, minor third, fifth and octave, the high ones dying first. */
function strike() {
  if (!audio) return;
  const pitch = MELODY[note++ % MELODY.length];
  [[0.5, 0.12, 3], [1, 0.16, 2.2], [1.2, 0.07, 1.6], [1.5, 0.04, 1.2], [2, 0.08, 1], [3, 0.03, 0.5]].forEach(([ratio, loud, long]) => {
    const tone = new OscillatorNode(audio, { frequency: pitch * ratio });
    const volume = new GainNode(audio, { gain: loud });
    volume.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + long);
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + long);
  });
}

$("sound").addEventListener("click", () => {
  if (audio) audio.close();
  audio = audio ? null : new AudioContext();
  $("sound").setAttribute("aria-pressed", String(Boolean(audio)));
  $("sound").textContent = audio ? "Sound: on" : "Sound: off";
  strike();
});

// --------------------------------------------------------------------------------------------------------- sender

/** Bookings sent and not yet answered: booking id → answer row. Sent again after a lost connection. */
const outbox = new Map();
let backendReady = false;
let serverLost = false;

const backend = openSocket("back end", (state) => {
  backendReady = false;
  if (state === "connected") {
    backendLogin.show();
    return;
  }
  if (state === "lost") serverLost = true;
  showServer(state);
  outbox.forEach(refreshAnswer);
});

const backendLogin = authenticate(
  backend.socket,
  () => config.backend_token,
  (token) => backend.socket.emit("backend_connect", { token }),
  (error) => {
    backendReady = false;
    showServer("refused", error);
  },
);

backend.socket.on("backend_auth_success", () => {
  backendReady = true;
  backendLogin.succeeded();
  if (serverLost) stepDone("restart");
  serverLost = false;
  showServer("online");
  outbox.forEach(emitBooking); // The same booking sent twice is answered as before and stored once.
});

backend.socket.on("notification_delivered", (answer) => settle(answer, "delivered", answer.delivered_at));
backend.socket.on("notification_stored", (answer) => settle(answer, "stored", answer.stored_at));
backend.socket.on("notification_error", (answer) => settle(answer, "failed"));
backend.socket.on("error", (answer) => settle(answer, "failed"));

function showServer(state, detail) {
  $("server").dataset.state = state;
  $("server-text").textContent = {
    connecting: "Connecting…",
    online: "Server connected",
    closed: "Closed",
    lost: "Server away, reconnecting…",
    refused: `Refused: ${detail ?? "Invalid token"}. Reload the page.`,
  }[state];
}

function emitBooking(row) {
  row.sentAt = performance.now();
  clearTimeout(row.timer);
  row.timer = setTimeout(() => { row.late = true; refreshAnswer(row); }, PATIENCE);
  backend.socket.emit("booking_notification", row.booking);
  refreshAnswer(row);
}

/** An answer names its booking; a bare `error` can only mean the oldest one still open. */
function settle(answer, outcome, time) {
  const row = outbox.get(answer?.booking_id) ?? (outcome === "failed" ? outbox.values().next().value : null);
  if (!row) return;
  outbox.delete(row.booking.booking_id);
  clearTimeout(row.timer);
  Object.assign(row, { outcome, answer, time: parseTime(time), took: performance.now() - row.sentAt });
  if (outcome === "stored") stepDone("store");
  refreshAnswer(row);
}

function refreshAnswer(row) {
  const { booking, answer, outcome } = row;
  const who = nameOf(booking.facilitator_id);
  const waiting = !backendReady ? "The server is away. Sent again, by itself, when it returns."
    : row.late ? "No answer yet. Still waiting…" : "Waiting for the answer…";
  const elsewhere = outcome === "delivered" && booking.facilitator_id === me && !authenticated;
  const words = {
    delivered: elsewhere ? `${who} is listening in another tab.` : `${who} is online. Kept on disk, then sent.`,
    stored: `${who} is away. It is on disk and waits.`,
    failed: String(answer?.error ?? "The server refused it."),
  }[outcome] ?? waiting;
  const facts = outcome && outcome !== "failed" && el("span", "facts",
    `notification ${answer.notification_id ?? "?"} · `, timeNode(row.time, row.time ? clockFormat.format(row.time) : "?"),
    ` · ${row.took < 10 ? row.took.toFixed(1) : Math.round(row.took)} ms`);
  row.node.className = `answer ${outcome ?? "waiting"}`;
  row.node.replaceChildren(
    el("p", "answer-head", el("b", "outcome", { delivered: "Delivered", stored: "Stored", failed: "Not accepted" }[outcome] ?? "Sending"),
      ` #${booking.booking_id}`, facts || null),
    el("p", "answer-why", words));
}

$("send").addEventListener("submit", (event) => {
  event.preventDefault();
  const starts = new Date($("f-start").value);
  const booking = {
    booking_id: 10000 + crypto.getRandomValues(new Uint32Array(1))[0] % 990000,
    user: { id: 1 + crypto.getRandomValues(new Uint32Array(1))[0] % 900, name: $("f-name").value, email: $("f-email").value },
    session: { id: sessionId($("f-title").value), title: $("f-title").value, start_time: starts.toISOString().replace(".000", "") },
    facilitator_id: Number($("f-facilitator").value),
  };
  const row = { booking, node: el("li") };
  outbox.set(booking.booking_id, row);
  $("no-answers").hidden = true;
  $("answers").prepend(row.node);
  while ($("answers").children.length > SHOWN_ANSWERS) $("answers").lastChild.remove();
  if (backendReady) emitBooking(row);
  else refreshAnswer(row);
  if (filledIn === formText()) fillIn(); // Untouched: offer another. What a visitor typed stays.
});

const PEOPLE = ["Jane Smith", "Amara Okafor", "Luca Moretti", "Eleni Papadaki", "Noah Lindqvist", "Mei Tanaka",
  "Sofía Herrera", "Tomasz Zieliński", "Aisha Rahman", "Oliver Brandt", "Niamh O’Connor", "Rohan Mehta"];
const SESSIONS = ["Morning Meditation", "Breathwork for Beginners", "Evening Yoga", "Walking in Silence", "Forest Bathing",
  "Mindful Writing", "Sound Bath", "Tai Chi by the Lake"];
let filledIn = "";
let lastPick = [];

const sessionId = (title) => SESSIONS.indexOf(title) + 1 || SESSIONS.length + 1;
const formText = () => ["f-name", "f-email", "f-title", "f-start"].map((id) => $(id).value).join("\n");

function pick(list, place) {
  let index;
  do index = Math.floor(Math.random() * list.length); while (index === lastPick[place]);
  lastPick[place] = index;
  return list[index];
}

function fillIn() {
  const name = pick(PEOPLE, 0);
  const first = name.split(" ")[0].normalize("NFD").replace(/[^a-z]/gi, "").toLowerCase();
  const start = new Date();
  start.setDate(start.getDate() + 1 + Math.floor(Math.random() * 9));
  start.setHours(7 + Math.floor(Math.random() * 12), Math.random() < 0.5 ? 0 : 30, 0, 0);
  const two = (n) => String(n).padStart(2, "0");
  $("f-name").value = name;
  $("f-email").value = `${first}@example.com`;
  $("f-title").value = pick(SESSIONS, 1);
  $("f-start").value = `${start.getFullYear()}-${two(start.getMonth() + 1)}-${two(start.getDate())}T${two(start.getHours())}:${two(start.getMinutes())}`;
  filledIn = formText();
}

$("another").addEventListener("click", fillIn);

function showElsewhere() {
  const target = Number($("f-facilitator").value);
  $("elsewhere").hidden = target === me;
  $("elsewhere").textContent = `The bell beside listens as ${nameOf(me)}; this one is for ${nameOf(target)}.`;
}
$("f-facilitator").addEventListener("change", showElsewhere);

// ------------------------------------------------------------------------------------------------------ your code

/** The two snippets; `secret` turns a token into what is shown or copied. */
const snippets = {
  "code-js": (secret) => `import { io } from "socket.io-client";

const socket = io("${location.origin}");
const token = "${secret(personOf(me).token)}"; // a JWT whose "sub" is "${me}"

socket.on("connect", () => {
  socket.emit("facilitator_connect", { facilitator_id: ${me}, token });
});

// Live, the moment it is booked
socket.on("new_booking_notification", (booking) => {
  console.log("ring!", booking.message);
});

// What was stored while you were away
socket.on("pending_notifications", ({ notifications, count }) => {
  console.log(count, "waiting", notifications);
});
`,
  "code-py": (secret) => `# pip install "python-socketio[client]"
import time
import socketio

sio = socketio.Client()

@sio.event
def connect():  # at every reconnect, too
    sio.emit("backend_connect", {"token": "${secret(config.backend_token)}"})

sio.connect("${location.origin}")

answer = sio.call("booking_notification", {
    "booking_id": int(time.time()),
    "user": {"id": 5, "name": "Jane Smith", "email": "jane@example.com"},
    "session": {"id": 1, "title": "Morning Meditation",
                "start_time": "2030-01-15T09:00:00Z"},
    "facilitator_id": ${me},
})
print(answer)  # durable: delivered_at or stored_at, notification_id
sio.disconnect()
`,
};

/** Just enough colour to read by: strings, comments, a few words. */
function tint(code) {
  const parts = /("[^"\n]*")|((?:\/\/|#).*)|\b(import|from|const|def|print)\b/g;
  const nodes = [];
  let last = 0;
  for (const match of code.matchAll(parts)) {
    nodes.push(code.slice(last, match.index), el("span", match[1] ? "c-string" : match[2] ? "c-comment" : "c-word", match[0]));
    last = match.index + match[0].length;
  }
  return [...nodes, code.slice(last)];
}

function showCode() {
  const short = (token) => (token.length > 16 ? `${token.slice(0, 12)}…` : token);
  for (const [id, write] of Object.entries(snippets)) $(id).replaceChildren(...tint(write(short)));
}

document.querySelectorAll("[data-copy]").forEach((button) => {
  button.addEventListener("click", async () => {
    const label = button.firstChild;
    try {
      await navigator.clipboard.writeText(snippets[button.dataset.copy]((token) => token));
      label.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren($(button.dataset.copy)); // No clipboard here: ready for the keyboard.
      label.textContent = "Selected";
    }
    setTimeout(() => { label.textContent = "Copy"; }, 1800);
  });
});

// ---------------------------------------------------------------------------------------------------------- start

for (const id of ["facilitator", "f-facilitator"]) {
  $(id).replaceChildren(...config.facilitators.map((person) => {
    const option = el("option", "", person.name);
    option.value = String(person.id);
    return option;
  }));
  $(id).value = String(me);
}
fillIn();
showMe();
refresh();
setInterval(() => { if (!document.hidden) entries().forEach(refreshEntry); }, 5000);
backend.open();
goOnline(true);
