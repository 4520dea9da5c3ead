"""The JavaScript of the page. It shows texts as texts, and inserts only the pictures, which are parsed as XML."""

from __future__ import annotations

SCRIPT = r"""
(() => {
  const address = document.currentScript.dataset.events;
  const columns = ["Call", "Direction", "From", "To", "State", "For", "Running"];
  const $ = (id) => document.getElementById(id);
  const shown = new Map();  // By number: the facts of a call, its row and its section.
  let ahead = 0;            // Seconds by which this clock is ahead of the server's.
  let isFresh = true;       // Whether the next message is the first one of a connection.

  const make = (tag, text, properties) => Object.assign(document.createElement(tag), {textContent: text}, properties);
  const fill = (parent, children) => parent.replaceChildren(...children);
  const short = (facts) => facts.id ? facts.id.slice(0, 8) : "no id yet";
  const status = (text, style) => { $("status").textContent = text; $("status").className = style; };

  const lasted = (facts) => {
    if (facts.since == null) return "";
    const seconds = Math.max(0, Math.floor((facts.until ?? Date.now() / 1000 - ahead) - facts.since));
    const two = (number) => String(number).padStart(2, "0");
    const minutes = Math.floor(seconds / 60);
    return minutes < 60 ? `${minutes}:${two(seconds % 60)}`
      : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
  };

  const add = (number) => {
    const row = make("tr", "");
    row.setAttribute("role", "row");
    const cells = columns.map((column, at) => {
      const cell = make(at ? "td" : "th", "");
      cell.setAttribute("role", at ? "cell" : "rowheader");
      if (!at) cell.scope = "row";
      cell.dataset.column = column;
      return cell;
    });
    ["", "", "address", "address", "state", "for", "running"].forEach((style, at) => { cells[at].className = style; });
    row.append(...cells);
    const section = make("section", "", {id: `call-${number}`});
    const head = make("h3", "");
    const figure = make("figure", "", {className: "picture", tabIndex: 0});
    figure.setAttribute("role", "region");
    const note = make("p", "", {className: "soft", hidden: true});
    const sideways = make("p", "The picture scrolls sideways.", {className: "soft sideways"});
    section.append(head, note, figure, sideways);
    return {row, cells, section, head, note, figure, facts: null};
  };

  const tell = (call, facts) => {
    call.facts = facts;
    call.row.className = facts.phase;
    const link = make("a", short(facts), {href: `#call-${facts.number}`, title: facts.id, className: "id"});
    fill(call.cells[0], [link]);
    [facts.direction, facts.from, facts.to].forEach((text, at) => {
      call.cells[at + 1].textContent = text || "\u2013";
    });
    fill(call.cells[4], [make("span", facts.state)]);
    call.cells[5].textContent = lasted(facts);
    fill(call.cells[6], facts.running.map((text) => make("span", text)));
    if (!facts.running.length) call.cells[6].textContent = "\u2013";
    fill(call.head, [`${short(facts)} `, make("span", `${facts.direction} ${facts.state}`)]);
    call.figure.setAttribute("aria-label", `Timeline of call ${short(facts)}`);
    call.note.hidden = !facts.earlier;
    call.note.textContent = `${facts.earlier} earlier entries are not shown.`;
  };

  const draw = (call, picture) => {
    const svg = new DOMParser().parseFromString(picture, "image/svg+xml").documentElement;
    if (svg.nodeName === "svg") fill(call.figure, [document.adoptNode(svg)]);
    else call.figure.textContent = picture ? "The picture cannot be shown." : "Nothing has happened on this call.";
  };

  const arrange = (parent, elements) => {
    elements.forEach((element, at) => {
      if (parent.children[at] !== element) parent.insertBefore(element, parent.children[at] ?? null);
    });
  };

  const count = (counters) => fill($("counters"), counters.map(({name, number, is_trouble}) => {
    const pair = document.createElement("div");
    pair.append(make("dt", name), make("dd", number.toLocaleString(), {className: is_trouble && number ? "odd" : ""}));
    return pair;
  }));

  const take = (message) => {
    ahead = Date.now() / 1000 - message.now;
    for (const [number, call] of shown) {
      if (isFresh || !message.order.includes(number)) {
        call.row.remove();
        call.section.remove();
        shown.delete(number);
      }
    }
    isFresh = false;
    for (const number of message.order) if (!shown.has(number)) shown.set(number, add(number));
    for (const facts of message.calls ?? []) tell(shown.get(facts.number), facts);
    for (const [number, picture] of Object.entries(message.pictures ?? {})) draw(shown.get(Number(number)), picture);
    const calls = message.order.map((number) => shown.get(number));
    arrange($("calls"), calls.map((call) => call.row));
    arrange($("timelines"), calls.map((call) => call.section));
    $("calls").parentNode.hidden = !calls.length;
    $("none").hidden = Boolean(calls.length);
    const up = calls.filter((call) => call.facts && call.facts.until == null).length;
    $("more").hidden = up >= message.up;
    $("more").textContent = `${message.up - up} more are not shown.`;
    $("up").textContent = `Calls that are up: ${message.up}`;
    document.title = message.up ? `(${message.up}) Calls` : "Calls";
    if (message.counters) count(message.counters);
  };

  const connect = () => {
    const events = new EventSource(address);
    events.onopen = () => { isFresh = true; status("Live", "live"); };
    events.onmessage = (event) => take(JSON.parse(event.data));
    events.onerror = async () => {
      status("No connection. Trying again …", "lost");
      if (events.readyState !== EventSource.CLOSED) return;
      // The server has refused: this session is over, or there are too many viewers.
      const answer = await fetch(location.href, {method: "HEAD"}).catch(() => null);
      if (answer && answer.status === 401) location.reload();
      else setTimeout(connect, 10000);
    };
  };

  setInterval(() => {
    for (const call of shown.values()) if (call.facts) call.cells[5].textContent = lasted(call.facts);
  }, 1000);
  connect();
})();
"""
