// Builds what both pages show. Everything becomes a text node: sessions may say anything.

export function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

// columns: [title, function of a row that returns text or a node, class]
export function fill(table, columns, rows, empty) {
  const head = element("tr", {}, ...columns.map(([title, , kind]) =>
    element("th", { scope: "col", ...(kind ? { class: kind } : {}) }, title)));
  const body = rows.map((row) => element("tr", {}, ...columns.map(([, cell, kind]) =>
    element("td", kind ? { class: kind } : {}, cell(row)))));
  if (!rows.length) body.push(element("tr", {}, element("td", { colspan: columns.length }, empty)));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (bytes >= 1024 && step < units.length - 1) { bytes /= 1024; step += 1; }
  return `${step ? bytes.toFixed(1) : bytes} ${units[step]}`;
}

// Those that client libraries add for themselves tell a person nothing.
export function labels(values) {
  return Object.entries(values).filter(([key]) => !key.startsWith("agentbay-"))
    .map(([key, value]) => `${key}=${value}`).join(", ");
}

export function show(id, text) { document.getElementById(id).textContent = text; }

// The calls, newest first. Only the newest 200 stay on the page.
export class Calls {
  constructor(table, withSession) {
    this.table = table;
    this.rows = [];
    this.next = 0;
    this.columns = [
      ["Time", (call) => call.time.slice(11, 19)],
      ["Call", (call) => call.name ? `${call.action} ${call.name}` : call.action],
      ...(withSession ? [["Session", (call) => call.session]] : []),
      ["Answer", (call) => element("span", { class: call.code === "ok" ? "good" : "bad" },
        call.fault ? `${call.code || "none"} (fault ${call.fault})` : call.code || "none")],
      ["ms", (call) => (call.seconds * 1000).toFixed(1), "number"],
      ["Request", (call) => call.request],
    ];
  }

  add(facts) {
    if (facts.next < this.next) this.rows = [];
    this.next = facts.next;
    this.rows = [...facts.calls.reverse(), ...this.rows].slice(0, 200);
    fill(this.table, this.columns, this.rows, "No call yet.");
  }
}

// What a page shows is over: its session has ended, or its service has stopped.
class Ended extends Error {}

// A service that is restarted, or a machine that sleeps, may leave some questions unanswered.
const MOST_FAILURES = 5;
let over = false;
let failures = 0;

function end(reason) {
  over = true;
  show("state", reason);
  document.documentElement.classList.add("ended");
}

function failed(error) {
  failures += 1;
  if (error instanceof Ended) end(error.message);
  else if (failures < MOST_FAILURES) show("state", "The service does not answer. Asking again.");
  else end("The service has stopped. Load this page again when it runs.");
}

let wake = () => {};

// Ends the wait for the next question of `repeat`.
export function askNow() { wake(); }

// Asks again and again, one question at a time, until the page is over. A page that cannot be seen
// asks nothing.
export async function repeat(seconds, ask, canHurry = false) {
  while (!over) {
    if (!document.hidden) {
      try {
        await ask();
        failures = 0;
      } catch (error) {
        if (!over) failed(error);
      }
    }
    await new Promise((resume) => {
      setTimeout(resume, seconds * 1000);
      if (canHurry) wake = resume;
    });
  }
}

// Returns the facts at a path.
export async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(30_000) });
  if (answer.status === 410) {
    throw new Ended(`This session has ended: ${(await answer.json()).reason}.`);
  }
  if (answer.status === 403) throw new Ended("This page belongs to a service that has stopped.");
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}
