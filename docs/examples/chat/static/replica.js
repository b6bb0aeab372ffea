// A replica of one room, kept in step with its authority: docs/reference/protocol.md, in plain JavaScript.
//
// It touches no page, no network and no clock. Whoever owns it calls `enter`, `receive`, `tick` and the like with the
// time in milliseconds, looks at `request` (what the authority is to be asked, or null) and at `changed`, and calls
// `tick` when `deadline` is due. It passes the conformance vectors that ship with roomstate (see vectors.mjs).

const EARLY_MS = 500; // an early update waits so long for the one before it
const ANSWER_MS = 10_000; // a request that was not answered by then is asked again
const SEND_MS = 30_000; // what was sent and not acknowledged by then has failed
const RETRY_MS = 500; // the longest first pause before asking again; it doubles up to MAX_RETRY_MS
const MAX_RETRY_MS = 30_000;
const MAX_MESSAGES = 1000;
const MAX_EARLY = 1000;
const MAX_REMOVED = 1000;
const MAX_PENDING = 100;
const MAX_KEYS = 1000; // users whose newest presence or typing is remembered

// The lists of a DELTA_UPDATE, in the order in which items of one position are applied.
const LISTS = ["added_messages", "edited_messages", "reactions", "removed_messages",
  "users_joined", "updated_users", "users_left"];

export class RoomReplica {
  constructor(roomId, { random = Math.random } = {}) {
    this.roomId = roomId;
    this.random = random;
    this.tier = "UNLOADED";
    this.pending = new Map(); // what was sent from here and has not come back, by client id
    this.stale = false;
    this.changed = 0; // counts changes: whoever shows the room compares it
    this._lastRequest = 0;
    this.followed = 0; // the last request that was put while the room was only followed
    this._clear();
    this._unask();
  }

  _clear() {
    this.epoch = "";
    this.head = 0;
    this.fingerprint = "";
    this.ordinal = 0;
    this.heldAfter = 0;
    this.messages = []; // {id, user, content, timestamp, extra, seq, editedAt, reactions}, in order
    this.ids = new Map(); // id -> message
    this.removed = new Set(); // ids that must not come back
    this.gapsHeld = []; // [after, upto] that the authority has withheld
    this.keptBack = false; // it has, since the last image
    this.members = new Map();
    this.membersComplete = false;
    this.presence = new Map();
    this.typing = new Map(); // user -> until when, in ms
    this.config = {};
    this.info = { user_count: null, moderator_count: null, stream_status: "" };
    this.notifications = [];
    this.marker = null; // {seq, ordinal, own, mentions, cut}
    this._latest = new Map();
  }

  _unask() {
    this.request = null; // {id, token}: what the authority is being asked; token null asks for an image
    this.early = []; // {envelope, at}, by where they begin
    this.joinedAt = null; // the token with which it came back, until there is an answer
    this.kept = []; // applied while an answer is on its way: an image may not have them
    this.known = 0; // the last seq that the authority is known to have given out
    this.suspect = false; // there is reason to ask
    this.whole = false; // an image is wanted
    this.failures = 0;
    this.earlyAt = null;
    this.retryAt = null;
    this.answerAt = null;
  }

  // -- what is missing ------------------------------------------------------------------------------------------------

  get ready() {
    return this.epoch !== "" && !this.stale && this.request === null && !this._lacks();
  }

  _lacks() {
    return this.suspect || this.whole || this.known > this.head || this.epoch === "";
  }

  // Intervals [after, upto] that are known to be missing: withheld ones, and those above the head.
  get gaps() {
    const gaps = [...this.gapsHeld];
    let at = this.head;
    for (const { envelope } of this.early) {
      if (envelope.epoch !== this.epoch) continue;
      if (envelope.previous > at) gaps.push([at, envelope.previous]);
      at = Math.max(at, envelope.sequence_number);
    }
    if (this.known > at && this.epoch) gaps.push([at, this.known]);
    return gaps;
  }

  // Where to resume: base64url of "seq:fingerprint:epoch"; null where nothing is held.
  get token() {
    if (!this.epoch) return null;
    const bytes = new TextEncoder().encode(`${this.head}:${this.fingerprint}:${this.epoch}`);
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  get deadline() {
    const times = [this.earlyAt, this.retryAt, this.answerAt, ...this.typing.values()];
    for (const echo of this.pending.values()) if (echo.state === "sending") times.push(echo.sentAt + SEND_MS);
    const due = times.filter((at) => at !== null);
    return due.length ? Math.min(...due) : null;
  }

  // -- interest and link ----------------------------------------------------------------------------------------------

  enter(now) {
    const rises = this.tier !== "ACTIVE";
    this.tier = "ACTIVE";
    if (rises) this._ask(now, this.gapsHeld.length > 0 || !this.membersComplete || this._asksBriefly());
  }

  follow(now) {
    const begins = this.tier === "UNLOADED";
    this.tier = "BACKGROUND";
    if (begins) this._ask(now, false);
  }

  leave() {
    this.tier = "UNLOADED";
    this._unask();
  }

  disconnected() {
    this.stale = true;
    this.request = this.answerAt = this.retryAt = this.earlyAt = null;
    this.changed += 1;
  }

  connected(now) {
    this.stale = false;
    this.failures = 0;
    this.retryAt = null;
    this.early = []; // asked for anew, or lost: the authority may have fallen back meanwhile
    this.joinedAt ??= this.token; // what is applied before the answer may be joined to something lost
    const moved = this.joinedAt !== this.token; // then no one token names both places
    this._ask(now, this.whole || moved || (this.tier === "ACTIVE" && this.gapsHeld.length > 0));
    this.changed += 1;
  }

  // -- receiving ------------------------------------------------------------------------------------------------------

  receive(envelope, now) {
    envelope = normal(envelope);
    const asked = this.request !== null && envelope.answers === this.request.id;
    this._take(envelope, now, asked);
    this._drain(now);
    if (asked) this._resolve(envelope, now);
    this._look(now);
  }

  // The answer to the request under way, where the transport knows that it is one.
  answer(envelopes, now) {
    envelopes = envelopes.map(normal);
    for (const envelope of envelopes) {
      this._take(envelope, now, true);
      this._drain(now);
    }
    this._resolve(envelopes.at(-1) ?? null, now);
    this._look(now);
  }

  failed(now) {
    this.request = this.answerAt = null;
    this.suspect = true;
    this._backOff(now);
    this.changed += 1;
  }

  tick(now) {
    for (const [user, until] of this.typing) {
      if (until <= now) {
        this.typing.delete(user);
        this.changed += 1;
      }
    }
    for (const echo of this.pending.values()) {
      if (echo.state === "sending" && echo.sentAt + SEND_MS <= now) this.refused(echo.clientId, "not acknowledged", true);
    }
    if (this.answerAt !== null && this.answerAt <= now) this.failed(now);
    if (this.retryAt !== null && this.retryAt <= now) {
      this.retryAt = null;
      if (this._lacks()) this._ask(now, this.whole || this._wantsMore());
      else this.failures = 0;
    }
    if (this.earlyAt !== null && this.earlyAt <= now) {
      this.earlyAt = null;
      this._ask(now, this._wantsMore());
    }
  }

  // Whether the authority withholds what is to be shown: to it the room seems to be only followed.
  _wantsMore() {
    return this.keptBack && this.tier === "ACTIVE";
  }

  // Whether the request under way was put when the room, which is shown now, was only followed.
  _asksBriefly() {
    return this.request !== null && this.tier === "ACTIVE" && this.request.id <= this.followed;
  }

  _take(envelope, now, asked) {
    const type = envelope.message_type;
    const { data } = envelope;
    if (type === "BULK_SYNC") return this._takeImage(envelope, now, asked);
    if (type === "HEARTBEAT") {
      if (data.epoch !== this.epoch) this.suspect = true;
      else this.known = Math.max(this.known, data.head);
    } else if (this.epoch === "") this._wait(envelope, now);
    else if (envelope.epoch !== this.epoch) {
      this.suspect = true;
      this._wait(envelope, now);
    } else if (envelope.previous === envelope.sequence_number) {
      if (envelope.sequence_number > this.head) this.known = Math.max(this.known, envelope.sequence_number);
      else this._apply(envelope, now);
    } else if (envelope.sequence_number > this.head) {
      if (envelope.previous > this.head) this._wait(envelope, now);
      else if ((data.added_messages ?? []).some((item) => typeof item === "string")) {
        this.known = Math.max(this.known, envelope.sequence_number); // named only: the bodies must be asked for
      } else this._apply(envelope, now);
    }
  }

  _wait(envelope, now) {
    if (this.early.length >= MAX_EARLY) {
      this.early = [];
      this.suspect = true;
      return;
    }
    this.early.push({ envelope, at: now });
    this.early.sort((a, b) => a.envelope.previous - b.envelope.previous
      || a.envelope.sequence_number - b.envelope.sequence_number);
  }

  _drain(now) {
    for (let at = 0; at < this.early.length && this.early[at].envelope.previous <= this.head;) {
      const { envelope } = this.early[at];
      if (!this.epoch || envelope.epoch !== this.epoch) at += 1; // nothing joins what holds nothing but an image
      else {
        this.early.splice(at, 1);
        if (envelope.sequence_number > this.head) {
          this._take(envelope, now, false);
          at = 0;
        }
      }
    }
  }

  _apply(envelope, now) {
    const before = this.head;
    const upto = envelope.sequence_number;
    if (envelope.withheld) {
      if (upto > before) this._withhold(before, upto);
    } else if (envelope.message_type === "STATE_UPDATE") {
      if (upto > before) this._state(envelope.data);
    } else {
      for (const [seq, list, item] of placed(envelope)) if (seq > before) this._item(list, item, seq);
      this._ephemeral(envelope.data, upto, now);
    }
    if (upto > before) {
      this.head = upto;
      this.fingerprint = envelope.fingerprint;
      if (this.request && this.kept.length < MAX_EARLY) this.kept.push(envelope);
    }
    if (envelope.ordinal !== null) this.ordinal = Math.max(this.ordinal, envelope.ordinal);
    this.changed += 1;
  }

  _withhold(after, upto) {
    const last = this.gapsHeld.at(-1);
    this.keptBack = true;
    if (last && last[1] === after) last[1] = upto;
    else this.gapsHeld.push([after, upto]);
  }

  _state(data) {
    if (data.room_config) this.config = data.room_config;
    for (const name of ["user_count", "moderator_count", "stream_status"]) {
      if (data[name] !== undefined && data[name] !== null) this.info[name] = data[name];
    }
  }

  _item(list, item, seq) {
    const id = typeof item === "string" ? item : (item.id ?? item.message_id);
    const message = this.ids.get(id);
    if (list === "added_messages") this._add(item, seq);
    else if (list === "edited_messages" && message) {
      message.content = item.content;
      message.editedAt = item.edited_at ?? true;
      if (item.extra) message.extra = { ...message.extra, ...item.extra };
    } else if (list === "reactions" && message) react(message, item);
    else if (list === "removed_messages") this._remove(id);
    else if (list === "users_joined") {
      const step = this.members.has(id) ? 0 : 1;
      this.members.set(id, { ...item });
      this._count(step);
    }
    else if (list === "updated_users" && this.members.has(id)) this.members.set(id, { ...this.members.get(id), ...item });
    else if (list === "users_left") {
      const known = this.members.delete(id);
      this.presence.delete(id);
      this.typing.delete(id);
      this._count(known || !this.membersComplete ? -1 : 0);
    }
  }

  // The count follows the members: their number where all are known, else from what was last told.
  _count(step) {
    if (this.membersComplete) this.info.user_count = this.members.size;
    else if (this.info.user_count !== null) this.info.user_count = Math.max(0, this.info.user_count + step);
  }

  _add(item, seq) {
    this._arrived(item);
    if (this.ids.has(item.id) || this.removed.has(item.id)) return;
    const message = { extra: {}, reactions: {}, editedAt: null, ...item, seq };
    this.messages.push(message);
    this.ids.set(item.id, message);
    this.ordinal += 1;
    this.typing.delete(item.user);
    if (this.marker && item.user === this.user) this.marker.own += 1;
    if (this.messages.length > MAX_MESSAGES) {
      const dropped = this.messages.shift();
      this.ids.delete(dropped.id);
      this.heldAfter = dropped.seq;
    }
  }

  _remove(id) {
    const message = this.ids.get(id);
    if (message) {
      this.messages.splice(this.messages.indexOf(message), 1);
      this.ids.delete(id);
      if (this.marker && message.seq > this.marker.seq && message.user !== this.user) this.marker.own += 1;
    }
    this.removed.add(id);
    if (this.removed.size > MAX_REMOVED) this.removed.delete(this.removed.values().next().value);
    this.pending.delete(id);
  }

  _ephemeral(data, seq, now) {
    for (const [user, state] of Object.entries(data.presence ?? {})) {
      if (!this._isNews("presence", user, seq)) continue;
      if (state === "offline") this.presence.delete(user);
      else this.presence.set(user, state);
    }
    for (const [user, seconds] of Object.entries(data.typing ?? {})) {
      if (!this._isNews("typing", user, seq)) continue;
      if (seconds > 0) this.typing.set(user, now + seconds * 1000);
      else this.typing.delete(user);
    }
    for (const [user, id] of Object.entries(data.receipts ?? {})) {
      const message = this.ids.get(id);
      if (user === this.user && message) this.read(message.seq);
    }
    for (const note of data.notifications ?? []) {
      if (this.notifications.some((each) => each.message_id === note.message_id && each.kind === note.kind)) continue;
      this.notifications.push(note);
      if (this.notifications.length > 100) this.notifications.shift();
      if (this.marker && note.user === this.user && note.seq > this.marker.seq) this.marker.mentions.push(note.seq);
    }
  }

  // Whether a user's ephemeral update is no older than the last one.
  _isNews(kind, user, seq) {
    const key = `${kind} ${user}`;
    if ((this._latest.get(key) ?? 0) > seq) return false;
    this._latest.delete(key);
    this._latest.set(key, seq);
    if (this._latest.size > MAX_KEYS) this._latest.delete(this._latest.keys().next().value);
    return true;
  }

  // -- images ---------------------------------------------------------------------------------------------------------

  _takeImage(envelope, now, asked) {
    const seq = envelope.sequence_number;
    if (this.epoch !== "" && envelope.epoch !== this.epoch) {
      if (!asked) {
        this.suspect = true; // it may be late: the authority will say which log is the one
        return this._wait(envelope, now);
      }
    } else if (this.epoch !== "" && seq > this.head && !asked && this.tier === "ACTIVE"
      && (envelope.answers ?? Infinity) <= this.followed) { // late, and for less than is shown now
      this.known = Math.max(this.known, seq);
      return undefined;
    } else if (this.epoch !== "" && seq <= this.head && !(asked && (this._fellBack(seq) || this._reaches(seq)))) {
      return undefined;
    }
    this._adopt(envelope, now, this.epoch === envelope.epoch && asked && this._fellBack(seq));
    return undefined;
  }

  // Whether an answer lies before where the copy was when it asked: the authority has lost the end of its log.
  _fellBack(seq) {
    return this.request !== null && seq < Math.min(this.request.head, this.head);
  }

  _reaches(seq) {
    for (const envelope of this.kept) if (envelope.previous <= seq) seq = Math.max(seq, envelope.sequence_number);
    return seq >= this.head;
  }

  _adopt(envelope, now, fellBack) {
    const { data } = envelope;
    const old = { epoch: this.epoch, typing: this.typing, marker: this.marker, known: this.known };
    const kept = fellBack ? [] : this.kept;
    const same = old.epoch === envelope.epoch && !fellBack; // else it is another log, or lost the end of this one
    this._clear();
    this.epoch = envelope.epoch;
    this.head = envelope.sequence_number;
    this.fingerprint = envelope.fingerprint;
    const messages = data.messages ?? [];
    const seqs = data.seqs ?? messages.map((_, at) => Math.max(0, this.head - messages.length + 1 + at));
    this.removed = new Set(data.removed_messages ?? []);
    messages.forEach((item, at) => this._add(item, seqs[at]));
    this.heldAfter = data.held_after ?? (seqs.length ? Math.max(0, seqs[0] - 1) : this.head);
    this.ordinal = envelope.ordinal ?? messages.length;
    this.gapsHeld = (data.gaps ?? []).map((gap) => [gap.after, gap.upto]);
    for (const [id, note] of Object.entries(data.annotations ?? {})) {
      const message = this.ids.get(id);
      if (!message) continue;
      message.editedAt = note.edited_at ?? null;
      message.reactions = Object.fromEntries(Object.entries(note.reactions ?? {}).map(([key, users]) => [key, [...users]]));
    }
    for (const user of data.users ?? []) this.members.set(user.id, user);
    this.membersComplete = data.members_complete ?? false;
    this.presence = new Map(Object.entries(data.presence ?? {}));
    this.config = data.room_config ?? {};
    for (const name of ["user_count", "moderator_count", "stream_status"]) this.info[name] = data[name] ?? this.info[name];
    this.notifications = [...(data.notifications ?? [])];
    this._mark(data.markers?.[this.user], old, same);
    if (same) this.typing = old.typing;
    this.known = same ? Math.max(old.known, this.head) : this.head;
    this.suspect = this.whole = false;
    this.kept = [];
    this.early = this.early.filter((waiting) => waiting.envelope.epoch === this.epoch);
    for (const each of kept) if (each.epoch === this.epoch) this._wait(each, now);
    if (!same && old.epoch) for (const echo of this.pending.values()) if (echo.messageId) echo.messageId = "";
    this.changed += 1;
  }

  // The authority's own count stands for this user; where it tells of none, counting begins anew at the head.
  _mark(told, old, same) {
    const fits = told && (!same || !old.marker || told.seq >= old.marker.seq);
    if (fits) {
      this.marker = { seq: told.seq, ordinal: told.ordinal, own: told.own ?? 0, mentions: [...(told.mentions ?? [])],
        cut: told.cut ?? false };
    } else if (old.marker && same) this.marker = { ...old.marker, cut: true };
    else this.marker = { seq: this.head, ordinal: this.ordinal, own: 0, mentions: [], cut: old.epoch !== "" };
  }

  // -- asking ---------------------------------------------------------------------------------------------------------

  _ask(now, whole) {
    whole ||= this.epoch === "";
    if (this.request && !(whole && (!this.whole || this._asksBriefly()))) return;
    this.whole ||= whole;
    if (this.stale || (!this.request && this.retryAt !== null)) return;
    this.earlyAt = null;
    this.kept = [];
    this._lastRequest += 1;
    if (this.tier !== "ACTIVE") this.followed = this._lastRequest;
    this.request = { id: this._lastRequest, token: this.whole ? null : this.joinedAt ?? this.token, from: `${this.head}:${this.epoch}`, head: this.head,
      at: now };
    this.answerAt = now + ANSWER_MS;
    this.changed += 1;
  }

  _resolve(answer, now) {
    const { request } = this;
    if (request === null) return;
    this.request = this.answerAt = null;
    if (answer && answer.epoch === this.epoch) this._trust(answer.sequence_number, request.at);
    if (request.from === `${this.head}:${this.epoch}`) this._backOff(now);
    else {
      this.failures = 0;
      this.retryAt = null;
    }
    this.changed += 1;
  }

  // What came before the question and lies beyond the answer, or in another epoch, was never given out.
  _trust(seq, askedAt) {
    this.known = seq;
    this.suspect = false;
    this.joinedAt = null;
    this.early = this.early.filter(({ envelope, at }) => at > askedAt
      || (envelope.epoch === this.epoch && envelope.previous <= seq));
    for (const { envelope } of this.early) {
      if (envelope.epoch === this.epoch) this.known = Math.max(this.known, envelope.sequence_number);
    }
  }

  // Full jitter: at a random moment within a time that doubles with each try that has not helped.
  _backOff(now) {
    this.retryAt = now + this.random() * Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.failures, 30));
    this.failures += 1;
  }

  _look(now) {
    if (!this._lacks() && this.early.length === 0 && !this._wantsMore()) {
      this.earlyAt = null;
      for (const echo of [...this.pending.values()]) { // it has come, or was removed before it could
        if (echo.seq > 0 && echo.seq <= (this.gapsHeld[0]?.[0] ?? this.head)) this.pending.delete(echo.clientId);
      }
    } else if (!this.request && this.retryAt === null) {
      if (this.suspect || this.whole || this.epoch === "") this._ask(now, this.whole);
      else this.earlyAt ??= now + EARLY_MS;
    }
  }

  // -- what this user writes and reads --------------------------------------------------------------------------------

  // Show a message at once; the caller sends it. Null where too much is pending.
  send(clientId, content, now, extra = {}) {
    const known = this.pending.get(clientId);
    if (!known && this.pending.size >= MAX_PENDING) return null;
    const echo = { clientId, user: this.user, content: known?.content ?? content, extra, sentAt: now, state: "sending", reason: "",
      retryable: true, messageId: "", seq: 0 };
    this.pending.set(clientId, echo);
    this.changed += 1;
    return echo;
  }

  acknowledged(clientId, messageId, seq, now) {
    const echo = this.pending.get(clientId);
    if (echo) {
      if (this.ids.has(messageId)) this.pending.delete(clientId);
      else Object.assign(echo, { state: "sent", messageId, seq });
    }
    this.known = Math.max(this.known, seq);
    this.changed += 1;
    this._look(now);
  }

  refused(clientId, reason, retryable) {
    const echo = this.pending.get(clientId);
    if (echo && echo.state !== "sent") Object.assign(echo, { state: "failed", reason, retryable });
    this.changed += 1;
  }

  discard(clientId) {
    this.pending.delete(clientId);
    this.changed += 1;
  }

  // A message that the room shows now takes its echo's place.
  _arrived(item) {
    for (const echo of this.pending.values()) {
      const mine = item.user === this.user && (item.id === echo.clientId || item.extra?.client_id === echo.clientId);
      if (mine || (echo.messageId && item.id === echo.messageId)) this.pending.delete(echo.clientId);
    }
  }

  // Move this user's marker up to a position (by default the head). Markers never go back. True where it moved.
  read(seq = this.head) {
    if (!this.marker || seq <= this.marker.seq) return false;
    const later = this.messages.filter((message) => message.seq > seq);
    this.marker = { seq, ordinal: this.ordinal - later.length, own: later.filter((each) => each.user === this.user).length,
      mentions: this.marker.mentions.filter((at) => at > seq), cut: false };
    this.changed += 1;
    return true;
  }

  // What this user has not read: {messages, mentions, exact}; not exact is "at least".
  get unread() {
    if (!this.marker) return { messages: 0, mentions: 0, exact: false };
    const exact = !this.marker.cut && !this.gaps.some(([, upto]) => upto > this.marker.seq);
    return { messages: Math.max(0, this.ordinal - this.marker.ordinal - this.marker.own),
      mentions: this.marker.mentions.length, exact };
  }
}

// An envelope with everything in its place: what is absent has its default.
function normal(envelope) {
  const told = { withheld: false, fingerprint: "", ordinal: null, answers: null, epoch: "",
    previous: Math.max(0, envelope.sequence_number - 1), ...envelope };
  if (told.message_type === "HEARTBEAT") told.epoch = told.data.epoch;
  return told;
}

// Every logged item of a DELTA_UPDATE with its position and its list, in order of application.
function placed(envelope) {
  const items = LISTS.flatMap((list) => (envelope.data[list] ?? []).map((item) => [list, item]));
  const span = envelope.sequence_number - envelope.previous;
  const added = (envelope.data.added_messages ?? []).length;
  const bare = items.every(([, item]) => item.seq === undefined || item.seq === null);
  if (bare && items.length === span && added === span) {
    return items.map(([list, item], at) => [envelope.previous + 1 + at, list, item]);
  }
  return items.map(([list, item]) => [item.seq ?? envelope.sequence_number, list, item]).sort((a, b) => a[0] - b[0]);
}

function react(message, { user, emoji, removed }) {
  const users = (message.reactions[emoji] ?? []).filter((each) => each !== user);
  if (!removed) users.push(user);
  if (users.length) message.reactions[emoji] = users;
  else delete message.reactions[emoji];
}
