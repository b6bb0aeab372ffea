// The page: it shows what the replicas hold, and passes on what the user does. Every text is set as text, never as markup.

import { RoomReplica } from "./replica.js";

const TYPING_S = 5;
const AGAIN_MS = 500; // so long after a refusal for its rate a room is asked for again
const NOTICE_MS = 6000;
const TOGETHER_MS = 5 * 60_000; // messages of one user within it stand together
const REACTIONS = ["+1", "♥", "☺"];
const REASONS = { RateLimited: "too many at once", NotAllowed: "you may not do this", StoreUnavailable: "the server could not save it" };
const $ = (id) => document.getElementById(id);
const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const rooms = new Map(); // RoomReplica by room, each as long as the page
const acts = new Map(); // what was done to messages and not answered yet: its name, by client id
const timeouts = { tick: 0, retry: 0, notice: 0 };
let user = "";
let current = "";
let socket = null;
let offline = false; // the user cut the connection
let attempts = 0;
let typingSentAt = 0;
let editing = ""; // the id of the message whose text is being changed
let unreadAfter = 0; // in the room shown: the last seq that was read when it was opened; 0 where all was
let server = []; // what the server says of its rooms

// -- the connection ---------------------------------------------------------------------------------------------------

function connect() {
  if (offline || socket) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/chat?user=${encodeURIComponent(user)}`);
  socket.onopen = () => {
    attempts = 0;
    for (const room of rooms.values()) {
      tell("interest", { room_id: room.roomId, tier: room.tier });
      send(room, { kind: "presence_changed", user_id: user, state: "online" });
      room.connected(Date.now());
      resend(room);
    }
    work();
  };
  socket.onmessage = ({ data }) => {
    receive(JSON.parse(data));
    work();
  };
  socket.onclose = () => {
    socket = null;
    acts.clear();
    for (const room of rooms.values()) room.disconnected();
    attempts += 1;
    clearTimeout(timeouts.retry); // full jitter, so that a restarted server does not meet everybody at once
    timeouts.retry = setTimeout(connect, Math.random() * Math.min(10_000, 500 * 2 ** attempts));
    work();
  };
}

function tell(kind, frame) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify({ [`room_state_${kind}`]: frame }));
  return true;
}

function receive(frame) {
  const now = Date.now();
  const { room_state_sync: envelope, room_state_ack: ack, room_state_error: error } = frame;
  const room = rooms.get((envelope ?? ack ?? error ?? {}).room_id);
  if (!room) return;
  if (envelope) {
    room.receive(envelope, now);
    if (envelope.withheld && room.roomId === current && !document.hidden) look(room, now);
  } else if (ack) {
    acts.delete(ack.client_id);
    room.acknowledged(ack.client_id, ack.message_id, ack.sequence_number, now);
  } else if (error.client_id) refused(room, error);
  else if (error.retryable) askAgain(room);
}

function refused(room, error) {
  const reason = REASONS[error.code] ?? error.reason;
  const what = acts.get(error.client_id);
  acts.delete(error.client_id);
  if (what) notify(`${what} was not done: ${reason}.`);
  room.refused(error.client_id, reason, error.retryable);
}

// The server took this window for idle, and keeps back what happens where the user looks: look again.
function look(room, now) {
  tell("interest", { room_id: room.roomId, tier: room.tier });
  room.connected(now);
}

// The server did not take what was asked of a room, for its rate: show interest again in a while.
function askAgain(room) {
  clearTimeout(room.again);
  room.again = setTimeout(() => {
    tell("interest", { room_id: room.roomId, tier: room.tier });
    asked.delete(room.roomId);
    work();
  }, AGAIN_MS * (1 + Math.random()));
}

// Ask what the replicas want asked, wake up when one is due, and show what has changed.
const asked = new Map();
function work() {
  const now = Date.now();
  let due = Infinity;
  for (const room of rooms.values()) {
    room.tick(now);
    const { request } = room;
    if (request && asked.get(room.roomId) !== request.id) {
      asked.set(room.roomId, request.id);
      tell("request", { room_id: room.roomId, request_id: request.id, ...(request.token && { token: request.token }) });
    }
    due = Math.min(due, room.deadline ?? Infinity);
  }
  clearTimeout(timeouts.tick);
  if (due < Infinity) timeouts.tick = setTimeout(work, Math.max(10, due - now));
  requestAnimationFrame(show);
}

function resend(room) {
  for (const echo of room.pending.values()) {
    if (echo.state !== "sent" && echo.retryable) post(room, echo.clientId, echo.content);
  }
}

// -- what the user does -------------------------------------------------------------------------------------------------

const send = (room, update, clientId = newId()) =>
  tell("send", { room_id: room.roomId, client_id: clientId, update });

function post(room, clientId, content) {
  const echo = room.send(clientId, content, Date.now());
  if (!echo) return notify("Too much is waiting to be sent already.");
  const message = { id: clientId, user, content, timestamp: new Date().toISOString() };
  send(room, { kind: "message_added", message }, clientId);
  return undefined;
}

// Do something to a message: what comes of it is told where it is refused.
function act(room, what, update) {
  const clientId = newId();
  if (send(room, update, clientId)) acts.set(clientId, what);
  else notify(`${what} has to wait until the connection is back.`);
}

function open(roomId) {
  if (current === roomId) return;
  const now = Date.now();
  if (current) change(rooms.get(current), "BACKGROUND", now);
  current = roomId;
  editing = "";
  const room = rooms.get(roomId);
  unreadAfter = room.unread.messages ? room.marker.seq : 0;
  change(room, "ACTIVE", now);
  location.hash = encodeURIComponent(roomId);
  followEnd = true;
  work();
}

function change(room, tier, now) {
  if (tier === "ACTIVE") room.enter(now);
  else room.follow(now);
  tell("interest", { room_id: room.roomId, tier });
  if (tier === "ACTIVE") send(room, { kind: "presence_changed", user_id: user, state: "online" });
}

function markRead() {
  const room = rooms.get(current);
  if (!room || document.hidden || !room.read()) return;
  const last = room.messages.at(-1);
  if (last) send(room, { kind: "receipt_read", user_id: user, message_id: last.id });
}

$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const content = $("text").value.trim();
  if (!content || !current) return;
  post(rooms.get(current), newId(), content);
  $("text").value = "";
  fit($("text"));
  unreadAfter = 0;
  followEnd = true;
  work();
});

const entered = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing;

$("text").addEventListener("keydown", (event) => {
  if (entered(event)) {
    event.preventDefault();
    $("compose").requestSubmit();
  } else if (event.key === "ArrowUp" && !$("text").value) {
    const last = rooms.get(current)?.messages.findLast((message) => message.user === user);
    if (last) beginEdit(last.id);
  }
});

$("text").addEventListener("input", () => {
  fit($("text"));
  const room = rooms.get(current);
  if (!room || Date.now() - typingSentAt < (TYPING_S - 2) * 1000) return;
  typingSentAt = Date.now();
  send(room, { kind: "typing_changed", user_id: user, expires_s: TYPING_S });
});

// A text area is as high as its text, up to what its style allows.
function fit(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
  if (area === $("text")) $("send").disabled = !area.value.trim();
}

// Arrow keys walk a list; true where the key was one of them.
function walk(event, items) {
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to === undefined || !items.length) return false;
  items[(to + items.length) % items.length].focus();
  event.preventDefault();
  return true;
}

$("room-list").addEventListener("keydown", (event) => {
  if (walk(event, [...$("room-list").children]) || (event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  document.activeElement.click();
});

$("messages").addEventListener("keydown", (event) => {
  if (event.target === $("messages") || event.target.matches("li")) walk(event, [...$("messages").querySelectorAll("li.message")]);
});

$("link").addEventListener("click", () => {
  offline = !offline;
  $("link").setAttribute("aria-pressed", offline);
  $("link").textContent = offline ? "Go online" : "Go offline";
  if (offline) socket?.close();
  else {
    attempts = 0;
    connect();
  }
  work();
});

function showPanel(shown) {
  $("state").hidden = !shown;
  $("app").classList.toggle("with-state", shown);
  $("show-state").setAttribute("aria-expanded", shown);
  if (shown) showState();
  else $("show-state").focus();
}

$("show-state").addEventListener("click", () => showPanel($("state").hidden));
$("hide-state").addEventListener("click", () => showPanel(false));
$("latest").addEventListener("click", () => toEnd());
$("back").addEventListener("click", () => {
  $("app").classList.remove("in-room");
  $("room-list").querySelector("[aria-selected=true]")?.focus();
});
$("me").addEventListener("click", () => {
  sessionStorage.removeItem("user");
  location.reload();
});

document.addEventListener("visibilitychange", work);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") $("text").focus();
  if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const names = [...rooms.keys()];
    const to = names.indexOf(current) + (event.key === "ArrowDown" ? 1 : -1);
    open(names[(to + names.length) % names.length]);
  }
});

// -- the page -----------------------------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function button(text, label, act) {
  const node = make("button", { type: "button", textContent: text, title: label, onclick: act });
  node.setAttribute("aria-label", label);
  return node;
}

function notify(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
  clearTimeout(timeouts.notice);
  timeouts.notice = setTimeout(() => ($("notice").hidden = true), NOTICE_MS);
}

// Let a list hold what is wanted, [{key, sig, make}]: a node stays as long as its sig does, with its focus and its place.
function fill(list, wanted) {
  const had = list.held ?? new Map();
  const held = new Map();
  for (const { key, sig, make: made } of wanted) {
    const old = had.get(key);
    const node = old?.sig === sig ? old.node : made();
    if (old && old.node !== node) swap(old.node, node);
    held.set(key, { sig, node });
    had.delete(key);
  }
  for (const { node } of had.values()) node.remove();
  let at = list.firstElementChild;
  for (const { node } of held.values()) {
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  }
  list.held = held;
}

function swap(old, node) {
  const focused = old.contains(document.activeElement);
  const at = [...old.querySelectorAll("button")].indexOf(document.activeElement);
  old.replaceWith(node);
  if (focused) (node.querySelectorAll("button")[at] ?? node).focus({ preventScroll: true });
}

let followEnd = true;
let shown = "";
$("messages").addEventListener("scroll", () => {
  const list = $("messages");
  followEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  if (followEnd) $("latest").hidden = true;
});

function toEnd() {
  $("messages").scrollTop = $("messages").scrollHeight;
  $("latest").hidden = true;
}
addEventListener("resize", () => followEnd && toEnd());
$("messages").addEventListener("focusin", () => followEnd && requestAnimationFrame(toEnd)); // what can be done needs room

function show() {
  markRead();
  showRooms();
  const room = rooms.get(current);
  if (room) showRoom(room);
  if (!$("state").hidden) showState();
}

function showRooms() {
  const all = [...rooms.values()];
  const elsewhere = all.reduce((sum, room) => sum + (room.roomId === current ? 0 : room.unread.messages), 0);
  document.title = `${elsewhere ? `(${elsewhere}) ` : ""}#${current} · roomstate chat`;
  $("elsewhere").textContent = elsewhere || "";
  $("elsewhere").title = "unread in other rooms";
  $("app").classList.toggle("cut", offline || all.some((room) => room.stale));
  fill($("room-list"), all.map((room) => ({ key: room.roomId, sig: JSON.stringify([room.unread, room.roomId === current]),
    make: () => roomNode(room) })));
}

function roomNode(room) {
  const { messages, mentions, exact } = room.unread;
  const isCurrent = room.roomId === current;
  const node = make("li", { tabIndex: isCurrent ? 0 : -1, className: messages ? "new" : "", title: room.roomId },
    make("span", { className: "label", dir: "auto", textContent: room.roomId }));
  node.dataset.room = room.roomId;
  node.setAttribute("role", "option");
  node.setAttribute("aria-selected", isCurrent);
  if (messages) node.append(make("span", { className: "count", textContent: `${messages}${exact ? "" : "+"}`, title: "unread" }));
  if (mentions) node.append(make("span", { className: "mentions", textContent: `@${mentions}`, title: "mentions of you" }));
  node.onclick = () => {
    open(room.roomId);
    $("app").classList.add("in-room");
    $("text").focus({ preventScroll: true });
  };
  return node;
}

function statusOf(room) {
  if (offline) return "You are offline: what you write is sent later.";
  if (room.stale) return "The connection is lost: trying again …";
  if (!room.ready) return "Catching up …";
  return "";
}

function listed(names, verb) {
  const first = names.slice(0, 3).join(", ");
  return `${first}${names.length > 3 ? ` and ${names.length - 3} more` : ""}${verb ? ` ${names.length > 1 ? "are" : "is"} ${verb}` : ""}`;
}

function showRoom(room) {
  $("title").textContent = room.roomId;
  $("title").title = room.roomId;
  if ($("status").textContent !== statusOf(room)) $("status").textContent = statusOf(room);
  const here = [...room.presence.keys()].sort((a, b) => (b === user) - (a === user));
  $("names").textContent = here.length > 3 ? "" : listed(here);
  $("number").textContent = here.length ? `${here.length} here` : "";
  $("people").title = here.length ? `here: ${here.join(", ")}` : "";
  const typing = [...room.typing.keys()].filter((each) => each !== user);
  $("typing").textContent = typing.length ? `${listed(typing, "typing")} …` : "";
  const drawn = JSON.stringify([room.roomId, room.changed, room.ready, editing, unreadAfter, offline, new Date().toDateString()]);
  if (drawn === shown) return;
  const isSame = shown.startsWith(`["${room.roomId}",`);
  const before = isSame ? $("messages").scrollHeight : 0;
  shown = drawn;
  fill($("messages"), [...linesOf(room)]);
  if (followEnd || !isSame) toEnd();
  else if ($("messages").scrollHeight > before) $("latest").hidden = false;
}

// What the list of messages holds, in order: messages, and what stands between them.
function* linesOf(room) {
  const line = (key, className, textContent) =>
    ({ key: `${room.roomId} ${key}`, sig: textContent, make: () => make("li", { className, textContent }) });
  if (!room.messages.length && !room.pending.size) {
    yield* room.ready ? [emptyLine(room)] : [1, 2, 3].map((at) => line(`skeleton ${at}`, "skeleton", ""));
    return;
  }
  if (room.heldAfter > 0) yield line("earlier", "line", "earlier messages are in the server's log");
  const gaps = room.gaps;
  let before = null;
  let divided = !unreadAfter;
  for (const message of room.messages) {
    for (; gaps.length && gaps[0][1] < message.seq; before = null) yield gapLine(line, gaps.shift());
    const at = new Date(message.timestamp);
    const day = at.toDateString();
    if (day !== before?.day) yield line(`day ${day} ${before?.seq ?? 0}`, "line", dayOf(at));
    const divides = !divided && message.seq > unreadAfter && message.user !== user;
    if (divides) yield line("unread", "line unread", "new");
    divided ||= divides;
    const first = divides || day !== before?.day || message.user !== before.user || at - before.at > TOGETHER_MS;
    yield { key: `${room.roomId} ${message.id}`, make: () => messageNode(room, message, at, first),
      sig: JSON.stringify([message.content, message.editedAt, message.reactions, first, message.id === editing]) };
    before = { day, at, user: message.user, seq: message.seq };
  }
  for (const gap of gaps) yield gapLine(line, gap);
  let first = before?.user !== user;
  for (const echo of room.pending.values()) {
    const about = [noteOf(room, echo), echo.state, first];
    yield { key: `${room.roomId} ${echo.clientId}`, sig: JSON.stringify(about), make: () => echoNode(room, echo, ...about) };
    first = false;
  }
}

const gapLine = (line, [after, upto]) =>
  line(`gap ${after}`, "gap", `${upto - after === 1 ? "one update is" : `${upto - after} updates are`} not here yet: being fetched`);

const emptyLine = (room) => ({ key: `${room.roomId} empty`, sig: "", make: () => make("li", { className: "empty" },
  make("strong", { textContent: "No messages yet" }), `This is the beginning of #${room.roomId}.`) });

function dayOf(at) {
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0 || days === 1) return days ? "yesterday" : "today";
  return at.toLocaleDateString([], { weekday: "long", year: "numeric", month: "long", day: "numeric" });
}

function messageNode(room, message, at, first) {
  const own = message.user === user;
  const text = textOf(message.content);
  if (message.editedAt) text.append(" ", make("span", { className: "note", textContent: "edited" }));
  const node = lineOf(message.user, message.id, first, text);
  node.classList.toggle("own", own);
  node.classList.toggle("mention", !own && namesMe(message.content));
  node.querySelector(".head").append(make("time", { dateTime: message.timestamp, title: at.toLocaleString(),
    textContent: at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) }));
  if (message.id === editing) text.replaceWith(editor(room, message));
  else node.prepend(actsOf(room, message, own));
  const reactions = Object.entries(message.reactions);
  if (reactions.length) {
    node.append(make("div", { className: "reactions" }, ...reactions.map(([emoji, users]) => {
      const one = button(emoji, `${emoji}: ${users.join(", ")}`, () => toggle(room, message, emoji));
      one.append(make("span", { className: "number", textContent: users.length }));
      one.classList.toggle("mine", users.includes(user));
      return one;
    })));
  }
  return node;
}

// A line of the list: whose it is, and what is said; the first of several that stand together shows the name.
function lineOf(name, id, first, text) {
  const node = make("li", { className: `message${first ? " first" : ""}`, tabIndex: -1 },
    make("div", { className: "head" }, make("span", { className: first ? "who" : "who hidden", dir: "auto", textContent: name })), text);
  node.dataset.id = id;
  if (first) {
    const face = make("span", { className: "face", textContent: [...name][0].toUpperCase() });
    face.setAttribute("aria-hidden", true);
    face.style.setProperty("--hue", [...name].reduce((hue, each) => (hue * 31 + each.codePointAt(0)) % 360, 7));
    node.prepend(face);
  }
  return node;
}

const namesMe = (content) => content.toLowerCase().match(/@[\p{L}\p{N}_-]+/gu)?.includes(`@${user.toLowerCase()}`) ?? false;

// A text with its links and mentions marked: each part is set as text.
function textOf(content) {
  const parts = content.split(/(https?:\/\/[^\s<>"']+|@[\p{L}\p{N}_-]+)/u);
  const nodes = parts.map((part, at) => {
    if (at % 2 === 0) return part;
    if (part[0] === "@") return make("b", { textContent: part, className: namesMe(part) ? "me" : "" });
    return make("a", { textContent: part, href: part, target: "_blank", rel: "noopener noreferrer" });
  });
  return make("div", { className: "text", dir: "auto" }, make("span", { className: "body" }, ...nodes));
}

function actsOf(room, message, own) {
  const node = make("span", { className: "acts" }, ...REACTIONS.map((emoji) =>
    button(emoji, `React with ${emoji}`, () => toggle(room, message, emoji))));
  if (own) node.append(button("edit", "Edit this message", () => beginEdit(message.id)), remover(room, message));
  return node;
}

// Removes at the second click: what is gone is gone for everybody.
function remover(room, message) {
  const node = button("remove", "Remove this message", () => {
    if (node.classList.contains("sure")) return act(room, "Removing", { kind: "message_removed", message_id: message.id, user });
    node.classList.add("sure");
    node.textContent = "sure?";
    return undefined;
  });
  node.onblur = () => {
    node.classList.remove("sure");
    node.textContent = "remove";
  };
  return node;
}

function beginEdit(id) {
  editing = id;
  show();
  const area = $("messages").querySelector(".editing textarea");
  if (!area) return;
  fit(area);
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
}

function editor(room, message) {
  const area = make("textarea", { value: message.content, maxLength: 4000, rows: 1, dir: "auto" });
  area.setAttribute("aria-label", "Edit your message");
  const end = (content) => {
    editing = "";
    if (content && content !== message.content) act(room, "Editing", { kind: "message_edited", message_id: message.id, content });
    work();
    $("text").focus();
  };
  area.oninput = () => fit(area);
  area.onkeydown = (event) => {
    if (entered(event)) event.preventDefault();
    if (entered(event)) end(area.value.trim());
    if (event.key === "Escape") end("");
    event.stopPropagation();
  };
  return make("div", { className: "editing" }, area, make("span", { className: "note", textContent: "Enter saves, Escape leaves it as it was" }));
}

function noteOf(room, echo) {
  if (echo.state === "failed") return `not sent: ${echo.reason}`;
  if (echo.state === "sent") return "sent";
  return offline || room.stale ? "waits for the connection" : "sending …";
}

function echoNode(room, echo, note, state, first) {
  const text = textOf(echo.content);
  const node = lineOf(echo.user, echo.clientId, first, text);
  node.classList.add("own", "pending", state);
  text.append(" ", make("span", { className: "note", textContent: note }));
  if (state !== "failed") return node;
  const choices = make("span", { className: "acts" });
  if (echo.retryable) choices.append(button("send again", "Send again", () => (post(room, echo.clientId, echo.content), work())));
  choices.append(button("discard", "Discard", () => (room.discard(echo.clientId), work())));
  node.append(choices);
  return node;
}

function toggle(room, message, emoji) {
  const mine = (message.reactions[emoji] ?? []).includes(user);
  act(room, "Reacting", { kind: mine ? "reaction_removed" : "reaction_added", message_id: message.id, user, emoji });
}

// -- the state panel ------------------------------------------------------------------------------------------------------

const gapText = (gaps) => gaps.map(([after, upto]) => `(${after}, ${upto}]`).join(" ") || "none";

function showState() {
  table($("state-server"), server.map((each) => [each.room, ["tier", each.tier, each.tier.toLowerCase()], each.bytes.toLocaleString(),
    each.head === each.durable ? `${each.head}` : `${each.head}, safe to ${each.durable}`, gapText(each.gaps)]));
  table($("state-client"), [...rooms.values()].map((room) => [room.roomId,
    room.ready ? ["ready", "", "ready"] : ["behind", "", room.stale ? "stale" : "catching up"],
    `${room.messages.length}${room.pending.size ? ` + ${room.pending.size}` : ""}`, `${room.head}`, gapText(room.gaps)]));
}

// Rows that stay, so that what has moved can be seen to move. The third and the fourth column are numbers.
function table(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  for (const [at, cells] of rows.entries()) {
    const row = body.rows[at] ?? body.insertRow();
    row.dataset.room = cells[0];
    for (const [column, cell] of cells.entries()) {
      const td = row.cells[column] ?? row.insertCell();
      const [kind, state, text] = Array.isArray(cell) ? cell : ["", "", cell];
      if (td.textContent === text && td.firstChild) continue;
      td.className = column === 2 || column === 3 ? "number" : "";
      if (td.firstChild) requestAnimationFrame(() => td.classList.add("moved"));
      if (!kind) td.textContent = text;
      else if (td.firstElementChild) Object.assign(td.firstElementChild, { className: `${kind} ${state}`, textContent: text });
      else td.append(make("span", { className: `${kind} ${state}`, textContent: text }));
      if (column === 0) td.title = text;
    }
  }
}

function watchState() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const watching = new WebSocket(`${scheme}://${location.host}/state`);
  watching.onmessage = ({ data }) => {
    server = JSON.parse(data);
    $("state-link").textContent = "live";
    if (!$("state").hidden) showState();
  };
  watching.onclose = () => {
    $("state-link").textContent = "the server does not answer";
    setTimeout(watchState, 500 + Math.random() * 1000);
  };
}

// -- beginning --------------------------------------------------------------------------------------------------------------

async function begin(name) {
  user = name;
  const names = await (await fetch("/rooms")).json();
  sessionStorage.setItem("user", user);
  $("me").textContent = user;
  $("login").hidden = true;
  $("app").hidden = false;
  const now = Date.now();
  for (const roomId of names) {
    const room = new RoomReplica(roomId);
    room.user = user;
    room.disconnected(); // until the socket is open
    room.follow(now);
    rooms.set(roomId, room);
  }
  const wanted = decodeURIComponent(location.hash.slice(1));
  open(rooms.has(wanted) ? wanted : names[0]);
  connect();
  watchState();
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name) begin(name).catch(() => $("name").setCustomValidity("The server does not answer.") || $("login").reportValidity());
});
$("name").addEventListener("input", () => $("name").setCustomValidity(""));

const known = sessionStorage.getItem("user");
if (known) begin(known).catch(() => setTimeout(() => location.reload(), 1000));
