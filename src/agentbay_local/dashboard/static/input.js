// Sends what a person does with a picture or a terminal to the session, one event after the other.
import { askNow, show } from "./tables.js";

const waiting = [];
let sending = false;

async function send(event) {
  const last = waiting.at(-1);
  const joins = last && "text" in event && last.to === event.to && last.do === event.do
    && last.id === event.id;
  if (joins) last.text += event.text;
  else waiting.push(event);
  if (sending) return;
  sending = true;
  while (waiting.length) await deliver(waiting.shift());
  sending = false;
  askNow();
}

async function deliver(event) {
  try {
    const answer = await fetch("input", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(event),
    });
    const told = await answer.json();
    show("input-error", answer.ok ? told.error : "The session takes no input now.");
  } catch {
    show("input-error", "The service does not answer.");
  }
}

const BUTTONS = ["left", "middle", "right"];
const MODIFIERS = [["Ctrl", "ctrlKey"], ["Alt", "altKey"], ["Meta", "metaKey"], ["Shift", "shiftKey"]];
const NAMES = { " ": "space", Control: "Ctrl" };
// A hand that clicks moves a little.
const STILL = 4;

function held(event) {
  return MODIFIERS.filter(([, flag]) => event[flag]).map(([name]) => name);
}

function typed(event) {
  return event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
}

// A modifier alone is no key; a paste is an event of its own; Shift+Tab leads out.
function isLeft(event) {
  const pastes = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "v";
  const alone = ["Control", "Alt", "Meta", "Shift", "AltGraph", "Dead", "Process"].includes(event.key);
  return event.isComposing || alone || pastes || (event.key === "Tab" && event.shiftKey);
}

function listen(node, pressed, pasted) {
  node.classList.add("control");
  node.tabIndex = 0;
  node.addEventListener("keydown", (event) => {
    if (isLeft(event)) return;
    event.preventDefault();
    pressed(event);
  });
  document.addEventListener("paste", (event) => {
    if (document.activeElement === node) pasted(event.clipboardData.getData("text/plain"));
  });
}

const KEYS = {
  desktop: {
    text: (text) => ({ to: "desktop", do: "input_text", text }),
    key: (event) => ({
      to: "desktop", do: "press_keys", keys: [...held(event), NAMES[event.key] ?? event.key],
    }),
    drag: ({ from, at, button }) => from
      ? { to: "desktop", do: "drag_mouse", button, from_x: from[0], from_y: from[1], to_x: at[0], to_y: at[1] }
      : { to: "desktop", do: "click_mouse", button, x: at[0], y: at[1] },
    scroll: ([x, y], across, down) => ({
      to: "desktop", do: "scroll", x, y, amount: 3,
      direction: down ? (down > 0 ? "down" : "up") : (across > 0 ? "right" : "left"),
    }),
  },
  browser: {
    text: (text) => ({ to: "browser", do: "text", text }),
    key: (event) => ({ to: "browser", do: "key", key: event.key, modifiers: held(event) }),
    drag: ({ from, at, button, clicks }) => ({
      to: "browser", do: "click", button, clicks, x: at[0], y: at[1],
      from_x: (from ?? at)[0], from_y: (from ?? at)[1],
    }),
    scroll: ([x, y], across, down) => ({ to: "browser", do: "scroll", x, y, across, down }),
  },
};

// Makes a picture of the desktop or of the browser take mouse and keys.
export function controlView(image, name) {
  const events = KEYS[name];
  // While the next picture loads, the image has no size of its own.
  let size = [image.naturalWidth, image.naturalHeight];
  image.addEventListener("load", () => { size = [image.naturalWidth, image.naturalHeight]; });
  const at = (event) => [
    Math.round(event.offsetX * size[0] / image.clientWidth),
    Math.round(event.offsetY * size[1] / image.clientHeight),
  ].map((value) => Math.max(0, value));
  let from = null;
  image.draggable = false;
  image.addEventListener("mousedown", (event) => { if (size[0]) from = at(event); });
  image.addEventListener("mouseup", (event) => {
    if (!from) return;
    const end = at(event);
    const moved = Math.hypot(end[0] - from[0], end[1] - from[1]) > STILL;
    const button = BUTTONS[event.button] ?? "left";
    send(events.drag({ from: moved ? from : null, at: end, button, clicks: Math.min(event.detail || 1, 3) }));
    from = null;
  });
  image.addEventListener("contextmenu", (event) => event.preventDefault());
  image.addEventListener("wheel", (event) => {
    if (document.activeElement !== image || !size[0]) return;
    event.preventDefault();
    send(events.scroll(at(event), Math.round(event.deltaX), Math.round(event.deltaY)));
  }, { passive: false });
  listen(image,
    (event) => send(typed(event) ? events.text(event.key) : events.key(event)),
    (text) => send(events.text(text)));
}

// What a terminal of the kind xterm sends for a key.
const CODES = {
  Enter: "\r", Tab: "\t", Backspace: "\x7f", Escape: "\x1b", Delete: "\x1b[3~",
  ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D",
  Home: "\x1b[H", End: "\x1b[F", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
};

function code(event) {
  if (event.key.length > 1) return CODES[event.key] ?? "";
  const control = event.ctrlKey ? String.fromCharCode(event.key.toUpperCase().charCodeAt(0) & 31) : event.key;
  return event.altKey ? `\x1b${control}` : control;
}

// Makes the screen of a terminal take keys.
export function controlTerminal(screen, id) {
  const write = (text) => { if (text) send({ to: "terminal", id, text }); };
  listen(screen, (event) => write(code(event)), write);
}
