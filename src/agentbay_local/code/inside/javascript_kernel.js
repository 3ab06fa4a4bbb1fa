// The JavaScript kernel: a persistent context, controlled through a socket. __init__.py describes
// the frames. Plain code runs in `vm`, where an interrupt ends even an endless loop. Code with
// `await` or `import()` goes through Node's REPL, which keeps its top-level declarations.
'use strict';

const fs = require('fs');
const net = require('net');
const repl = require('repl');
const util = require('util');
const vm = require('vm');
const { Console } = require('console');
const { createRequire } = require('module');
const { PassThrough, Writable } = require('stream');

const CONTROL = 3;
const LARGEST_TEXT = 1024 * 1024;
const INTERRUPTED = 'ERR_SCRIPT_EXECUTION_INTERRUPTED';

const control = new net.Socket({ fd: CONTROL, readable: true, writable: true });
let count = 0;
let current = null; // ends the code that runs: (failed, errorOrValue) => void

function send(message, parts = []) {
  const head = Buffer.from(JSON.stringify(message));
  const sizes = Buffer.alloc(8);
  sizes.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 4 + head.length));
  sizes.writeUInt32BE(head.length, 4);
  control.write(Buffer.concat([sizes, head, ...parts]));
}

function sendError({ name, value, traceback }) {
  const parts = [name, value, traceback].map((text) => Buffer.from(text));
  send({ error: parts.map((part) => part.length) }, parts);
}

function sendResult(text) {
  const part = Buffer.from(text);
  send({ result: { 'text/plain': ['text', part.length] }, main: true }, [part]);
}

// The streams of `process` are asynchronous when a pipe is full; these write at once, in order.
function makeStream(fd) {
  return new Writable({
    decodeStrings: true,
    write(chunk, encoding, done) {
      let rest = chunk;
      while (rest.length) {
        try {
          rest = rest.subarray(fs.writeSync(fd, rest));
        } catch (error) {
          if (error.code !== 'EAGAIN') return done(error);
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
        }
      }
      return done();
    },
  });
}

function shorten(text) {
  if (text.length <= LARGEST_TEXT) return text;
  const half = LARGEST_TEXT / 2;
  return `${text.slice(0, half)}\n[...]\n${text.slice(-half)}`;
}

function describeError(error) {
  try {
    const named = error !== null && typeof error === 'object' && 'message' in error;
    if (!named) return { name: 'Error', value: inspect(error), traceback: '' };
    const name = shorten(String(error.name || 'Error'));
    const trace = String(error.stack || '').split('\n');
    const ours = trace.findIndex((line) => /^ {4}at .*(node:|javascript_kernel)/.test(line));
    const own = ours < 0 ? trace : trace.slice(0, ours);
    return { name, value: shorten(String(error.message)), traceback: shorten(own.join('\n')) };
  } catch {
    return { name: 'Error', value: '<no text: its own code failed>', traceback: '' };
  }
}

function inspect(value) {
  try {
    return shorten(util.inspect(value));
  } catch {
    return '<cannot be shown: its own code failed>';
  }
}

// An error after the code has ended is printed, and the kernel goes on.
function reportLateError(error) {
  const { name, value, traceback } = describeError(error);
  fs.writeSync(2, `Uncaught ${traceback || `${name}: ${value}`}\n`);
}

function makeShell() {
  const discard = new PassThrough();
  discard.resume();
  const shell = repl.start({
    input: new PassThrough(),
    output: discard,
    prompt: '',
    terminal: false,
    useGlobal: false,
  });
  // Some versions of Node hand errors of the code to the domain of the REPL, not to the caller.
  if (shell._domain) {
    shell._domain.removeAllListeners('error');
    shell._domain.on('error', (error) => (current ? current(true, error) : reportLateError(error)));
  }
  const console = new Console(makeStream(1), makeStream(2));
  Object.defineProperty(shell.context, 'console', { value: console, writable: true, configurable: true });
  shell.context.require = createRequire(`${process.cwd()}/`);
  return shell;
}

const shell = makeShell();

// For code that waits. Code that never yields is interrupted by `vm` (breakOnSigint).
process.on('SIGINT', () => {
  const error = new Error('the code was interrupted');
  error.code = INTERRUPTED;
  if (current) current(true, error);
});

function compile(code) {
  const filename = `cell ${count}`;
  if (/^\s*\{/.test(code) && !/;\s*$/.test(code)) {
    try {
      return new vm.Script(`(${code}\n)`, { filename });
    } catch {
      // A block, not an object literal.
    }
  }
  return new vm.Script(code, { filename });
}

function evaluate(code) {
  if (/\b(await|import)\b/.test(code)) {
    const ended = current;
    shell.eval(`${code}\n`, shell.context, `cell ${count}`, (error, value) =>
      error === null ? ended(false, value) : ended(true, error),
    );
    return;
  }
  let value;
  try {
    value = compile(code).runInContext(shell.context, { breakOnSigint: true });
  } catch (error) {
    current(true, error);
    return;
  }
  current(false, value);
}

function run({ code, env }) {
  Object.assign(process.env, env);
  count += 1;
  const finish = (failed, outcome) => {
    if (current !== finish) return; // it has ended already, or was interrupted
    current = null;
    if (failed) sendError(describeError(outcome));
    else if (outcome !== undefined) sendResult(inspect(outcome));
    const interrupted = failed && Boolean(outcome) && outcome.code === INTERRUPTED;
    send({ done: count, failed, interrupted });
  };
  current = finish;
  evaluate(code);
}

let received = Buffer.alloc(0);
control.on('data', (data) => {
  received = Buffer.concat([received, data]);
  while (received.length >= 4) {
    const size = received.readUInt32BE(0);
    if (received.length < 4 + size) return;
    const body = received.subarray(4, 4 + size);
    received = received.subarray(4 + size);
    if (size) run(JSON.parse(body.toString()));
  }
});
control.on('end', () => process.exit(0));
control.on('error', () => process.exit(1));

process.on('uncaughtException', reportLateError);
process.on('unhandledRejection', reportLateError);
send({ ready: true });
