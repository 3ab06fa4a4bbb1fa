// The elements of one document, by reference. Evaluated in each frame, in the world of the page,
// which can replace what this uses, such as prototypes: what it answers is checked before use.
// References are "ref_NUMBER_INDEX"; NUMBER tells the document.
(number) => {
  const elements = [];
  const indices = new WeakMap();
  const TAGS = {
    article: "article", aside: "complementary", audio: "audio", button: "button", details: "group",
    dialog: "dialog", fieldset: "group", figure: "figure", footer: "contentinfo", form: "form",
    h1: "heading", h2: "heading", h3: "heading", h4: "heading", h5: "heading", h6: "heading",
    header: "banner", label: "label", li: "listitem", main: "main",
    nav: "navigation", ol: "list", option: "option", p: "paragraph", summary: "button",
    table: "table", td: "cell", textarea: "textbox", th: "columnheader", tr: "row", ul: "list",
    video: "video",
  };
  const INPUTS = {
    button: "button", checkbox: "checkbox", file: "file", image: "button", number: "spinbutton",
    radio: "radio", range: "slider", reset: "button", search: "searchbox", submit: "button",
  };
  const INTERACTIVE = new Set([
    "button", "checkbox", "combobox", "file", "link", "listbox", "menuitem", "menuitemcheckbox",
    "menuitemradio", "option", "radio", "searchbox", "slider", "spinbutton", "switch", "tab",
    "textbox", "treeitem",
  ]);
  const NAMED_BY_TEXT = new Set([
    "button", "cell", "columnheader", "heading", "label", "link", "menuitem", "menuitemcheckbox",
    "menuitemradio", "option", "rowheader", "switch", "tab", "treeitem",
  ]);
  const WORDS = {
    bar: ["textbox", "searchbox", "combobox"], box: ["textbox", "searchbox", "combobox"],
    dropdown: ["combobox", "listbox"], field: ["textbox", "searchbox", "spinbutton", "combobox"],
    icon: ["image", "button"], input: ["textbox", "searchbox", "spinbutton", "checkbox"],
    logo: ["image"], menu: ["combobox", "listbox", "menu"], picture: ["image"],
    search: ["searchbox"], select: ["combobox", "listbox"], title: ["heading"], upload: ["file"],
  };
  const SKIPPED = new Set(["head", "link", "meta", "noscript", "script", "style", "template"]);
  const NAME = 100;
  const TEXT = 400;
  const OPTIONS = 50;

  const squeeze = (text, limit) => {
    const line = (text || "").replace(/\s+/g, " ").trim();
    return line.length > limit ? line.slice(0, limit - 1) + "…" : line;
  };
  const tagOf = (element) => element.localName || "";
  const refOf = (element) => {
    if (!indices.has(element)) indices.set(element, elements.push(element));
    return `ref_${number}_${indices.get(element)}`;
  };
  // Decided by the tag: a role does not change that there is a document in it.
  const isFrame = (element) => ["iframe", "frame"].includes(tagOf(element));
  const roleOf = (element) => {
    if (isFrame(element)) return "iframe";
    const given = element.getAttribute("role");
    if (given) return given.trim().split(/\s+/)[0];
    const tag = tagOf(element);
    if (tag === "a") return element.hasAttribute("href") ? "link" : "";
    if (tag === "input") return INPUTS[element.type] || "textbox";
    if (tag === "select") return element.multiple || element.size > 1 ? "listbox" : "combobox";
    // One without a name says nothing to a reader.
    if (tag === "img" || tag === "svg") return nameOf(element, "image") ? "image" : "";
    if (element.isContentEditable && !element.parentElement?.isContentEditable) return "textbox";
    return TAGS[tag] || "";
  };
  const isInteractive = (element, role) =>
    INTERACTIVE.has(role) || element.hasAttribute("onclick") ||
    (element.hasAttribute("tabindex") && element.tabIndex >= 0);
  const nameOf = (element, role) => {
    const by = (element.getAttribute("aria-labelledby") || "").split(/\s+/)
      .map((id) => id && element.ownerDocument.getElementById(id)?.innerText).filter(Boolean);
    const label = element.labels && [...element.labels].map((one) => one.innerText).join(" ");
    const button = role === "button" && tagOf(element) === "input" && element.value;
    const text = NAMED_BY_TEXT.has(role) && element.innerText;
    return squeeze(
      element.getAttribute("aria-label") || by.join(" ") || label || button || text ||
      element.getAttribute("alt") || element.getAttribute("placeholder") ||
      element.getAttribute("title") || "", NAME);
  };
  // Whether a line says all of an element's text: the name is not another one, and not cut.
  const isNamedByAllText = (element, role) => {
    const text = NAMED_BY_TEXT.has(role) ? squeeze(element.innerText, Infinity) : "";
    return text !== "" && text === nameOf(element, role);
  };
  const isShown = (element) =>
    element.getClientRects().length > 0 && element.checkVisibility({ visibilityProperty: true });
  const isInView = (element) => [...element.getClientRects()].some((box) =>
    box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth);
  const detailsOf = (element, role) => {
    const found = [];
    if (role === "heading" && /^h\d$/.test(tagOf(element))) found.push(`level=${tagOf(element)[1]}`);
    if (role === "link") found.push(`href=${JSON.stringify(squeeze(element.href?.toString(), 200))}`);
    if (tagOf(element) === "input" && role === "textbox") found.push(`type=${element.type}`);
    if ("checked" in element && (role === "checkbox" || role === "radio" || role === "switch"))
      found.push(element.checked ? "checked" : "not checked");
    else if (["textbox", "searchbox", "spinbutton", "slider", "combobox"].includes(role)) {
      const chosen = tagOf(element) === "select" && element.selectedOptions[0]?.text;
      const value = chosen || (element.type === "password" ? "" : element.value ?? element.innerText);
      if (value) found.push(`value=${JSON.stringify(squeeze(value, NAME))}`);
    }
    if (element.disabled || element.getAttribute("aria-disabled") === "true") found.push("disabled");
    if (element.hasAttribute("aria-expanded"))
      found.push(element.getAttribute("aria-expanded") === "true" ? "expanded" : "collapsed");
    return found;
  };
  const lineOf = (element, role) => {
    const name = nameOf(element, role);
    const parts = [role || tagOf(element)];
    if (name) parts.push(JSON.stringify(name));
    parts.push(`[${refOf(element)}]`, ...detailsOf(element, role));
    return parts.join(" ");
  };
  const childrenOf = (node) => {
    if (node.shadowRoot) return node.shadowRoot.childNodes;
    if (tagOf(node) === "slot") {
      const assigned = node.assignedNodes({ flatten: true });
      if (assigned.length) return assigned;
    }
    return node.childNodes;
  };
  const isSkipped = (element) =>
    SKIPPED.has(tagOf(element)) || element.getAttribute("aria-hidden") === "true" ||
    getComputedStyle(element).display === "none";

  // Lines of the tree as [depth, text, reference or null]; at most `limit` characters of them.
  const tree = ({ filter, depth: deepest, root, limit }) => {
    const lines = [];
    let size = 0;
    let cut = false;
    const add = (depth, text, ref) => {
      size += text.length + 2 * depth + 1;
      if (size > limit) cut = true;
      else lines.push([depth, text, ref]);
    };
    const visit = (node, depth, isQuiet) => {
      if (cut) return;
      if (node.nodeType === Node.TEXT_NODE) {
        const text = squeeze(node.data, TEXT);
        const parent = node.parentElement;
        if (!text || isQuiet || filter === "interactive") return;
        if (parent && (!isShown(parent) || (filter !== "all" && !isInView(parent)))) return;
        if (depth <= deepest) add(depth, `text ${JSON.stringify(text)}`, null);
        return;
      }
      if (node.nodeType !== Node.ELEMENT_NODE || isSkipped(node)) return;
      const role = roleOf(node);
      const interactive = isInteractive(node, role);
      const wanted = filter === "interactive" ? interactive || isFrame(node) : role || interactive;
      const seen = wanted && isShown(node) && (filter === "all" || isInView(node));
      if (seen) {
        if (depth > deepest) return;
        add(depth, lineOf(node, role), isFrame(node) ? refOf(node) : null);
        if (tagOf(node) === "svg" || tagOf(node) === "select") return;
      }
      const quiet = seen ? isNamedByAllText(node, role) : isQuiet;
      for (const child of childrenOf(node)) visit(child, seen ? depth + 1 : depth, quiet);
    };
    visit(root ? elements[root - 1] : document.documentElement, 0, false);
    return { lines, cut };
  };

  const wordsOf = (text) => (text || "").toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const score = (element, role, words, phrase) => {
    const name = nameOf(element, role);
    const attributes = ["id", "name", "class", "title", "placeholder", "type", "href", "alt"]
      .map((key) => element.getAttribute(key) || "").join(" ");
    const groups = [[3, wordsOf(name)], [2, wordsOf(role)], [1, wordsOf(attributes)]];
    let total = 0;
    for (const word of words) {
      let best = (WORDS[word] || []).includes(role) ? 2 : 0;
      for (const [weight, found] of groups) {
        if (found.includes(word)) best = Math.max(best, weight);
        else if (word.length > 2 && found.some((one) => one.startsWith(word)))
          best = Math.max(best, weight / 2);
      }
      total += best;
    }
    if (total && phrase && name.toLowerCase().includes(phrase)) total += 3;
    return total && isInteractive(element, role) ? total + 0.5 : total;
  };
  const find = ({ words, phrase, count }) => {
    const found = [];
    const visit = (node) => {
      if (node.nodeType !== Node.ELEMENT_NODE || isSkipped(node)) return;
      const role = roleOf(node);
      if ((role || isInteractive(node, role)) && isShown(node)) {
        const points = score(node, role, words, phrase);
        if (points) found.push([points, node, role]);
      }
      for (const child of childrenOf(node)) visit(child);
    };
    visit(document.documentElement);
    found.sort((one, other) => other[0] - one[0]);
    return found.slice(0, count).map(([points, node, role]) => [points, lineOf(node, role)]);
  };
  const text = (limit) => {
    const areas = [...document.querySelectorAll("article, main, [role=main]")]
      .map((area) => area.innerText.trim()).sort((one, other) => other.length - one.length);
    const all = document.body ? document.body.innerText.trim() : "";
    // A short article is a teaser, and not what the page is about.
    return (areas[0]?.length >= 200 ? areas[0] : all).slice(0, limit);
  };
  // The index of an option by its value, its text, or its text as an error lists it.
  const optionOf = (options, wanted) => {
    const text = squeeze(wanted, Infinity);
    const ways = [
      (option) => option.value === wanted,
      (option) => squeeze(option.text, Infinity) === text,
      (option) => squeeze(option.text, NAME) === text,
    ];
    for (const way of ways) {
      const index = options.findIndex(way);
      if (index >= 0) return index;
    }
    return null;
  };
  const form = (element, wanted) => {
    const options = tagOf(element) === "select" ? [...element.options] : [];
    return {
      tag: tagOf(element),
      type: element.type || "",
      option: optionOf(options, wanted),
      options: options.slice(0, OPTIONS).map((option) => squeeze(option.text, NAME)),
      more: Math.max(options.length - OPTIONS, 0),
    };
  };
  const element = (index) => (elements[index - 1]?.isConnected ? elements[index - 1] : null);
  return { element, find, form, refOf, text, tree };
}
