import { controlTerminal, controlView } from "./input.js";
import { askNow, Calls, element, fill, get, labels, repeat, show, size } from "./tables.js";

const table = (id) => document.getElementById(id);
const calls = new Calls(table("calls"), false);
let directory = "";
let mayControl = false;

const PROCESSES = [
  ["Process", (one) => String(one.pid), "number"],
  ["Command", (one) => one.command, "wide"],
  ["Threads", (one) => String(one.threads), "number"],
  ["Memory", (one) => size(one.memory_bytes), "number"],
  ["CPU", (one) => `${one.cpu_seconds.toFixed(2)} s`, "number"],
];
const FILES = [
  ["Name", (one) => one.directory ? enter(one.name) : one.name],
  ["Size", (one) => one.directory ? "" : size(one.size), "number"],
  ["Modified", (one) => modified(one.modified)],
];

function modified(seconds) {
  const moment = new Date(seconds * 1000);
  return Number.isNaN(moment.getTime()) ? "" : moment.toISOString().slice(0, 19).replace("T", " ");
}

function enter(name) {
  const button = element("button", { type: "button" }, `${name}/`);
  button.addEventListener("click", () => {
    directory = name === ".." ? directory.replace(/\/[^/]*\/?$/, "") || "/"
      : `${directory.replace(/\/$/, "")}/${name}`;
    askNow();
  });
  return button;
}

function showFiles(inside) {
  directory ||= inside.directory;
  show("directory", inside.directory);
  const files = inside.files;
  const up = inside.directory === "/" ? [] : [{ name: "..", directory: true, size: 0 }];
  fill(table("files"), FILES, [...up, ...(files.entries ?? [])], "It is empty.");
  const hidden = files.entries && files.count > files.entries.length;
  show("files-more", files.error ?? (hidden ? `${files.entries.length} of ${files.count} are shown.` : ""));
}

// Each terminal keeps its element, which may have the focus.
const screens = new Map();

function screenOf(one) {
  if (!screens.has(one.id)) {
    const name = element("p", { class: "muted" });
    const screen = element("pre", { tabindex: "0", "aria-label": `Terminal ${one.id}` });
    if (mayControl) controlTerminal(screen, one.id);
    screens.set(one.id, { name, screen, whole: element("div", {}, name, screen) });
  }
  return screens.get(one.id);
}

function showTerminals(terminals) {
  for (const one of terminals) {
    const { name, screen } = screenOf(one);
    name.textContent = one.ended ? `${one.id}, ended` : one.id;
    screen.textContent = one.lines.join("\n");
  }
  const known = new Set(terminals.map((one) => one.id));
  for (const [id, { whole }] of screens) {
    if (!known.has(id)) { whole.remove(); screens.delete(id); }
  }
  const shown = table("terminals");
  for (const one of terminals) {
    if (!screenOf(one).whole.isConnected) shown.append(screenOf(one).whole);
  }
  show("terminals-none", terminals.length ? "" : "No terminal is open.");
}

// One picture after the other, for as long as there is something to see.
const VIEWS = ["desktop", "browser"];
const seen = new Set();
let pictures = 0;

function nextPicture(name) {
  pictures += 1;
  document.getElementById(name).src = `${name}?${pictures}`;
}

for (const name of VIEWS) {
  const image = document.getElementById(name);
  image.addEventListener("load", () => setTimeout(() => {
    if (seen.has(name) && !document.hidden) nextPicture(name);
    else seen.delete(name);
  }, mayControl ? 100 : 500));
  image.addEventListener("error", () => seen.delete(name));
}

function showViews(inside) {
  for (const name of VIEWS) {
    document.getElementById(`${name}-section`).hidden = !inside[name];
    if (!inside[name]) seen.delete(name);
    else if (!seen.has(name)) {
      seen.add(name);
      nextPicture(name);
    }
  }
}

function allowInput(allowed) {
  if (!allowed || mayControl) return;
  mayControl = true;
  document.getElementById("input-help").hidden = false;
  for (const name of VIEWS) controlView(document.getElementById(name), name);
}

async function refresh() {
  const query = new URLSearchParams({ after: calls.next, directory });
  const facts = await get(`facts?${query}`);
  show("title", `Session ${facts.id}`);
  document.title = `${facts.id} - AgentBay`;
  show("state", `${facts.image}, ${facts.status}, isolation ${facts.isolation}, created ${facts.created}`);
  show("labels", labels(facts.labels));
  allowInput(facts.input);
  calls.add(facts);
  if (facts.sandbox) {
    show("excess", facts.sandbox.excess);
    fill(table("processes"), PROCESSES, facts.sandbox.processes, "Nothing runs now.");
    showViews(facts.sandbox);
    showFiles(facts.sandbox);
    showTerminals(facts.sandbox.terminals);
  }
}

async function measure() {
  const usage = await get("usage");
  if (usage === null) return;
  const of = ([used, most]) => `${size(used)} of ${size(most)}`;
  show("usage", usage.error ?? [
    `Memory ${of(usage.memory)}`, `disk ${of(usage.disk)}`, `${usage.files[0]} files`,
    `${usage.cpu_seconds} s of processor time`].join(", "));
}

repeat(2, refresh, true);
repeat(10, measure);
