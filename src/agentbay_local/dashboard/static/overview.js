import { Calls, element, fill, get, labels, repeat, show } from "./tables.js";

const table = (id) => document.getElementById(id);
const calls = new Calls(table("calls"), true);

const SESSIONS = [
  ["Session", (one) => element("a", { href: one.page }, one.id)],
  ["Image", (one) => one.image],
  ["State", (one) => one.started ? one.status : `${one.status}, nothing has run yet`],
  ["Labels", (one) => labels(one.labels), "wide"],
  ["Created", (one) => one.created],
  ["Input", (one) => element("a", { href: one.control, "aria-label": `Control ${one.id}` }, "control")],
];
const CONTEXTS = [
  ["Context", (one) => one.name],
  ["Id", (one) => one.id],
  ["State", (one) => one.state],
  ["Version", (one) => one.version || "none", "number"],
  ["Last used", (one) => one.used],
];
const FAULTS = [
  ["Action", (one) => one.action],
  ["Effect", (one) => one.effect],
  ["Calls seen", (one) => String(one.seen), "number"],
  ["Struck", (one) => String(one.hits), "number"],
];

function more(id, count, rows) {
  show(id, count > rows.length ? `${rows.length} of ${count} are shown.` : "");
}

repeat(1, async () => {
  const facts = await get(`facts?after=${calls.next}`);
  const clock = facts.manual_clock ? `manual clock at ${facts.time}` : facts.time;
  show("state", `${facts.endpoint}, isolation ${facts.isolation}, ${clock}`);
  fill(table("sessions"), SESSIONS, facts.sessions, "No session lives.");
  more("sessions-more", facts.session_count, facts.sessions);
  fill(table("contexts"), CONTEXTS, facts.contexts, "There is no context.");
  more("contexts-more", facts.context_count, facts.contexts);
  document.getElementById("faults-section").hidden = !facts.faults.length;
  fill(table("faults"), FAULTS, facts.faults, "");
  calls.add(facts);
});
