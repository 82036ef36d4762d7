// What the channels were told of a run, what waits for one of them, and what was given up.

import { h } from "./dom.js";
import { count, moment } from "./format.js";

export const telling = (seen) => seen.messages?.done === false;

export function messages(found) {
  if (!found) return [];
  const waiting = sum(found.channels, "waiting"), dropped = sum(found.channels, "dropped");
  const words = [dropped && `${count(dropped)} given up`, waiting && `${count(waiting)} waiting`].filter(Boolean).join(", ");
  return [h("h2", {}, "Messages ", words ? h("small", {}, words) : null), found.channels.map(channel)];
}

const sum = (channels, kind) => channels.reduce((all, one) => all + one[kind].length, 0);

function channel(one) {
  const [tone, state] = one.dropped.length ? ["failed", "given up"] : one.waiting.length ? ["warning", "waiting"] : ["passed", "told"];
  return h("article", { class: "finding" },
    h("header", {}, h("span", { class: `mark tone-${tone}` }, state), h("strong", {}, one.channel), h("span", { class: "soft" }, `took ${count(one.taken)}`)),
    one.waiting.length ? h("p", {}, `Asked again every minute since ${moment(earliest(one.waiting))}: `, events(one.waiting)) : null,
    one.dropped.length ? h("p", {}, "Not taken within a day, and given up: ", events(one.dropped)) : null);
}

const earliest = (untaken) => untaken.map((one) => one.since).sort()[0];

// An event by its id without the run's, and the code of what went wrong last.
const events = (untaken) => untaken.map((one, at) => [at ? ", " : null, h("code", {}, one.event.slice(one.event.indexOf(":") + 1)), one.code ? h("span", { class: "soft" }, ` ${one.code}`) : null]);
