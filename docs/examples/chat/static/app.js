// The page: it shows what the replicas hold, and passes on what the user does. Every text is set as text, never as markup.

import { RoomReplica } from "./replica.js";

const ROOMS = ["lobby", "rust", "python", "films", "music"];
const TYPING_S = 5;
const $ = (id) => document.getElementById(id);

const rooms = new Map(); // RoomReplica by room, each as long as the page
const timeouts = { tick: 0, retry: 0 };
let user = "";
let current = "";
let socket = null;
let offline = false; // the user cut the connection
let attempts = 0;
let typingSentAt = 0;
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
  if (envelope) room.receive(envelope, now);
  else if (ack) room.acknowledged(ack.client_id, ack.message_id, ack.sequence_number, now);
  else if (error.client_id) room.refused(error.client_id, error.reason, error.retryable);
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

const send = (room, update, clientId = crypto.randomUUID()) =>
  tell("send", { room_id: room.roomId, client_id: clientId, update });

function post(room, clientId, content) {
  const echo = room.send(clientId, content, Date.now());
  if (!echo) return alert("Too much is waiting to be sent.");
  const message = { id: clientId, user, content, timestamp: new Date().toISOString() };
  send(room, { kind: "message_added", message }, clientId);
  return undefined;
}

function open(roomId) {
  if (current === roomId) return;
  const now = Date.now();
  if (current) change(rooms.get(current), "BACKGROUND", now);
  current = roomId;
  change(rooms.get(roomId), "ACTIVE", now);
  location.hash = roomId;
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
  post(rooms.get(current), crypto.randomUUID(), content);
  $("text").value = "";
  followEnd = true;
  work();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("compose").requestSubmit();
  }
});

$("text").addEventListener("input", () => {
  const room = rooms.get(current);
  if (!room || Date.now() - typingSentAt < (TYPING_S - 2) * 1000) return;
  typingSentAt = Date.now();
  send(room, { kind: "typing_changed", user_id: user, expires_s: TYPING_S });
});

$("room-list").addEventListener("keydown", (event) => {
  const items = [...$("room-list").children];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Enter" || event.key === " ") items[at]?.click();
  else if (to !== undefined) items[(to + items.length) % items.length].focus();
  else return;
  event.preventDefault();
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

$("show-state").addEventListener("click", () => {
  const shown = $("state").toggleAttribute("hidden") === false;
  $("app").classList.toggle("with-state", shown);
  $("show-state").setAttribute("aria-expanded", shown);
  showState();
});

$("back").addEventListener("click", () => {
  $("app").classList.remove("in-room");
  $("room-list").querySelector("[aria-selected=true]")?.focus();
});

document.addEventListener("visibilitychange", work);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") $("text").focus();
  if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const to = ROOMS.indexOf(current) + (event.key === "ArrowDown" ? 1 : -1);
    open(ROOMS[(to + ROOMS.length) % ROOMS.length]);
  }
});

// -- the page -----------------------------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

let followEnd = true;
let shownRoom = "";
$("messages").addEventListener("scroll", () => {
  const list = $("messages");
  followEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
});

function show() {
  markRead();
  showRooms();
  const room = rooms.get(current);
  if (room) showRoom(room);
  if (!$("state").hidden) showState();
}

function showRooms() {
  const nodes = ROOMS.map((roomId) => {
    const room = rooms.get(roomId);
    const { messages, mentions, exact } = room.unread;
    const item = make("li", { textContent: roomId, tabIndex: roomId === current ? 0 : -1, className: messages ? "new" : "" });
    item.dataset.room = roomId;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", roomId === current);
    if (messages) item.append(make("span", { className: "count", textContent: `${messages}${exact ? "" : "+"}` }));
    if (mentions) item.append(make("span", { className: "mentions", textContent: `@${mentions}`, title: "mentions of you" }));
    item.onclick = () => {
      open(roomId);
      $("app").classList.add("in-room");
      $("text").focus({ preventScroll: true });
    };
    return item;
  });
  const focused = document.activeElement?.dataset?.room;
  $("room-list").replaceChildren(...nodes);
  if (focused) $("room-list").querySelector(`[data-room="${focused}"]`)?.focus();
}

function statusOf(room) {
  if (offline) return "offline: what you write is sent later";
  if (room.stale) return "connection lost: trying again";
  if (!room.ready) return "catching up …";
  return "";
}

function showRoom(room) {
  $("title").textContent = room.roomId;
  $("status").textContent = statusOf(room);
  const here = [...room.presence.keys()];
  $("people").textContent = here.length ? `${here.length} here` : "";
  $("people").title = here.join(", ");
  const typing = [...room.typing.keys()].filter((each) => each !== user);
  $("typing").textContent = typing.length ? `${typing.join(", ")} ${typing.length > 1 ? "are" : "is"} typing …` : "";
  const drawn = `${room.roomId} ${room.changed}`;
  if (drawn === shownRoom) return;
  shownRoom = drawn;
  const list = $("messages");
  const nodes = [];
  let gaps = room.gaps;
  for (const message of room.messages) {
    while (gaps.length && gaps[0][1] < message.seq) nodes.push(gapNode(gaps.shift()));
    nodes.push(messageNode(room, message));
  }
  nodes.push(...gaps.map(gapNode), ...[...room.pending.values()].map((echo) => echoNode(room, echo)));
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li")?.dataset.id : null;
  list.replaceChildren(...nodes);
  if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"] button`)?.focus();
  if (followEnd) list.scrollTop = list.scrollHeight;
}

const gapNode = ([after, upto]) =>
  make("li", { className: "gap", textContent: `${upto - after} not here yet: being fetched` });

function messageNode(room, message) {
  const own = message.user === user;
  const mention = new RegExp(`@${user.replace(/[^\w]/g, "\\$&")}\\b`, "i").test(message.content);
  const at = new Date(message.timestamp);
  const node = make("li", { className: [own && "own", !own && mention && "mention"].filter(Boolean).join(" ") });
  node.dataset.id = message.id;
  const acts = make("span", { className: "acts" }, button("+1", "React with +1", () => toggle(room, message, "+1")));
  if (own) {
    acts.append(button("edit", "Edit this message", () => edit(room, message)));
    acts.append(button("remove", "Remove this message", () => send(room, { kind: "message_removed", message_id: message.id, user })));
  }
  node.append(acts, make("span", { className: "who", textContent: message.user }),
    make("time", { dateTime: message.timestamp, textContent: at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) }));
  if (message.editedAt) node.append(make("span", { className: "note", textContent: " edited" }));
  node.append(make("div", { className: "body", textContent: message.content }));
  const reactions = Object.entries(message.reactions);
  if (reactions.length) {
    node.append(make("div", { className: "reactions" }, ...reactions.map(([emoji, users]) => {
      const one = button(`${emoji} ${users.length}`, users.join(", "), () => toggle(room, message, emoji));
      one.classList.toggle("mine", users.includes(user));
      return one;
    })));
  }
  return node;
}

function echoNode(room, echo) {
  const node = make("li", { className: `own pending ${echo.state}` });
  node.dataset.id = echo.clientId;
  if (echo.state === "failed") {
    const acts = make("span", { className: "acts" });
    if (echo.retryable) acts.append(button("send again", "Send again", () => (post(room, echo.clientId, echo.content), work())));
    acts.append(button("discard", "Discard", () => (room.discard(echo.clientId), work())));
    node.append(acts);
  }
  const note = echo.state === "failed" ? ` not sent: ${echo.reason}` : offline || room.stale ? " waits for the connection" : " sending …";
  node.append(make("span", { className: "who", textContent: echo.user }), make("span", { className: "note", textContent: note }),
    make("div", { className: "body", textContent: echo.content }));
  return node;
}

function button(text, label, act) {
  const node = make("button", { type: "button", textContent: text, title: label, onclick: act });
  node.setAttribute("aria-label", label);
  return node;
}

function toggle(room, message, emoji) {
  const mine = (message.reactions[emoji] ?? []).includes(user);
  send(room, { kind: mine ? "reaction_removed" : "reaction_added", message_id: message.id, user, emoji });
}

function edit(room, message) {
  const content = prompt("Edit your message", message.content)?.trim();
  if (content && content !== message.content) send(room, { kind: "message_edited", message_id: message.id, content });
}

// -- the state panel ------------------------------------------------------------------------------------------------------

const row = (...cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
const gapText = (gaps) => gaps.map(([after, upto]) => `(${after}, ${upto}]`).join(" ") || "none";

function showState() {
  $("state-server").replaceChildren(...server.map((each) => {
    const tier = make("span", { className: `tier ${each.tier}`, textContent: each.tier.toLowerCase() });
    const log = each.head === each.durable ? `${each.head}` : `${each.head}, safe to ${each.durable}`;
    const node = row(each.room, tier, each.bytes.toLocaleString(), log, gapText(each.gaps));
    node.dataset.room = each.room;
    return node;
  }));
  $("state-client").replaceChildren(...[...rooms.values()].map((room) => row(
    room.roomId, `${room.messages.length}${room.pending.size ? ` + ${room.pending.size}` : ""}`, `${room.head}`,
    room.stale ? "stale" : room.ready ? "ready" : "catching up", gapText(room.gaps))));
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

function begin(name) {
  user = name;
  sessionStorage.setItem("user", user);
  $("me").textContent = user;
  $("login").hidden = true;
  $("app").hidden = false;
  const now = Date.now();
  for (const roomId of ROOMS) {
    const room = new RoomReplica(roomId);
    room.user = user;
    room.disconnected(); // until the socket is open
    room.follow(now);
    rooms.set(roomId, room);
  }
  open(ROOMS.includes(location.hash.slice(1)) ? location.hash.slice(1) : ROOMS[0]);
  connect();
  watchState();
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name) begin(name);
});

const known = sessionStorage.getItem("user");
if (known) begin(known);
