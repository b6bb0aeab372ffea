// Runs the conformance vectors of roomstate against replica.js:  node vectors.mjs FILE.json ...
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

import { RoomReplica } from "./static/replica.js";

// What a vector may expect, as the replica shows it.
const SHOWS = {
  epoch: (room) => room.epoch,
  head: (room) => room.head,
  messages: (room) => room.messages.map(({ id, content }) => [id, content]),
  gaps: (room) => room.gaps,
  request: (room) => room.request && { token: room.request.token === null ? null : plain(room.request.token) },
  reactions: (room) => Object.fromEntries(room.messages.filter((each) => Object.keys(each.reactions).length)
    .map((each) => [each.id, each.reactions])),
  members: (room) => [...room.members.values()].map((user) => [user.id, user.username ?? "", user.color ?? ""]),
  slow_mode_duration: (room) => room.config.slow_mode_duration ?? 0,
  stream_status: (room) => room.info.stream_status,
  user_count: (room) => room.info.user_count,
  presence: (room) => Object.fromEntries(room.presence),
  typing: (room) => [...room.typing.keys()],
  notifications: (room) => room.notifications.map((note) => note.message_id),
  stale: (room) => room.stale,
};

function plain(token) {
  const text = Buffer.from(token, "base64url").toString();
  const [, seq, fingerprint, epoch] = /^(\d+):([^:]*):(.*)$/s.exec(text);
  return [epoch, Number(seq), fingerprint];
}

function run(vector) {
  const room = new RoomReplica("rust", { random: () => 0.5 });
  let now = 0;
  for (const [at, step] of vector.steps.entries()) {
    const [[verb, value]] = Object.entries(step);
    if (verb === "enter") value === "ACTIVE" ? room.enter(now) : room.follow(now);
    else if (verb === "receive") room.receive(value, now);
    else if (verb === "answer") room.answer(value, now);
    else if (verb === "disconnect") room.disconnected();
    else if (verb === "reconnect") room.connected(now);
    else if (verb === "wait_ms") {
      const until = now + value;
      for (let due = room.deadline; due !== null && due <= until; due = room.deadline) {
        now = Math.max(now, due);
        room.tick(now);
      }
      now = until;
    } else if (verb === "expect") {
      for (const [name, wanted] of Object.entries(value)) {
        const shown = SHOWS[name](room);
        if (!isDeepStrictEqual(shown, wanted)) {
          throw new Error(`step ${at}: ${name} is ${JSON.stringify(shown)}, not ${JSON.stringify(wanted)}`);
        }
      }
    } else throw new Error(`step ${at}: what is ${verb}?`);
  }
}

let failed = 0;
let count = 0;
for (const path of process.argv.slice(2)) {
  for (const vector of JSON.parse(readFileSync(path, "utf8"))) {
    count += 1;
    try {
      run(vector);
    } catch (error) {
      failed += 1;
      console.error(`${vector.name}: ${error.message}`);
    }
  }
}
console.log(`${count} vectors, ${failed} failed`);
process.exit(failed || !count ? 1 : 0);
