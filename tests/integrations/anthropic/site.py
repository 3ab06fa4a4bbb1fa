"""Pages for the browser toolset; what a page has got is in its text."""

from __future__ import annotations

#: A pad that tells the events of the mouse and of the keyboard that it gets.
PAD = """<!doctype html><title>Pad</title>
<style>body { margin: 0; height: 3000px }
  #pad { position: absolute; left: 100px; top: 100px; width: 200px; height: 100px }
  #log { position: fixed; top: 250px } #far { position: absolute; top: 2000px }</style>
<button id=pad aria-label="Pad of events">pad</button><button id=far>Far away</button><p id=log></p>
<script>
  const events = [];
  const say = (text) => { events.push(text); log.textContent = events.join(", "); };
  const held = (event) => (event.ctrlKey ? "ctrl+" : "") + (event.shiftKey ? "shift+" : "");
  const tell = (event) => { event.preventDefault(); say(held(event) + event.type + event.detail); };
  for (const kind of ["click", "dblclick", "auxclick", "contextmenu"])
    pad.addEventListener(kind, tell);
  for (const kind of ["mousedown", "mouseup"])
    document.addEventListener(kind, (event) => say(`${kind}(${event.clientX},${event.clientY})`));
  pad.addEventListener("mouseenter", () => say("enter"));
  document.addEventListener("keydown", (event) => say(held(event) + event.key));
  document.addEventListener("keyup", (event) => say("up " + event.key));
  document.addEventListener("wheel", (event) => say(`wheel(${event.deltaX},${event.deltaY})`));
</script>"""

#: A form whose elements tell what they got.
FORM = """<!doctype html><title>Form</title>
<nav><a href=pad.html>To the pad</a></nav><h1>A form</h1>
<label>Name <input id=person placeholder="your name"></label>
<input type=checkbox id=agree aria-label="I agree"><input type=password id=secret value=s3cret>
<select id=color aria-label=Color><option value=r>red<option value=b>blue</select>
<textarea aria-label=Story id=story></textarea>
<input type=file id=file aria-label="A picture" multiple onchange="Promise.all([...file.files].map(
  async (one) => one.name + '=' + await one.text())).then((all) => got.textContent = all.join())">
<p id=got>nothing</p><div style="height: 3000px"></div><button>Below</button>
<iframe title=Inside srcdoc="<button>Inner button</button>" style="position: fixed; top: 300px">
</iframe>"""

#: A page that opens dialogs and tabs, that has a download, and that tells its console.
NOISE = """<!doctype html><title>Noise</title>
<button onclick="said.textContent = confirm('Delete all?')">Ask</button>
<button onclick="window.open('form.html')">Open</button>
<a href=form.html download=got.txt>Save</a><p id=said></p>
<script>console.log("hello console"); fetch("missing.json");</script>"""

#: A page that asks before it is left, and that has a button which goes away.
LEAVE = """<!doctype html><title>Leave</title>
<button onclick="this.style.display = 'none'">Hide me</button>
<script>addEventListener("beforeunload", (event) => event.preventDefault());</script>"""

#: A page that shows another site far below: the same machine by another name.
OUTER = """<!doctype html><title>Outer</title><div style="height: 2000px">top</div>
<iframe title=Far src="http://localhost:8000/inner.html" style="margin-left: 100px"></iframe>
<div style="height: 2000px"></div>"""
INNER = """<!doctype html><div style="height: 800px">in</div>
<button onclick="this.textContent = 'Done'">Deep</button>
<input aria-label=Field><input type=checkbox aria-label=Agree>"""

#: A page with an article, and with more text than a model should get.
LONG = f"""<!doctype html><title>Long</title><nav>Menu of the site</nav>
<article><h1>News</h1><p>{"long text " * 8_000}</p></article>
<ul>{"".join(f"<li><a href='#{n}'>entry {n}</a></li>" for n in range(3_000))}</ul>"""

#: A choice of more options than an error lists, of which the last has a long text.
CHOICE = f"""<!doctype html><title>Choice</title><select aria-label=Choice>
{"".join(f"<option value=v{n}>option {n}</option>" for n in range(60))}
<option value=last>{"long " * 40}end</option></select>"""

#: A page with texts that names do not tell, and with a frame whose role is another one.
TEXTS = f"""<!doctype html><title>Texts</title>
<a href=a.html>{"link " * 30}end of the link</a>
<table><tr><td aria-label="Total">42 pieces</td><td>short cell</td></tr></table>
<button aria-label="Buy">for 5 coins</button>
<iframe role=presentation srcdoc="<button>In the frame</button>"></iframe>"""

SITE = {
    "texts.html": TEXTS,
    "choice.html": CHOICE,
    "pad.html": PAD,
    "form.html": FORM,
    "noise.html": NOISE,
    "long.html": LONG,
    "leave.html": LEAVE,
    "outer.html": OUTER,
    "inner.html": INNER,
}
