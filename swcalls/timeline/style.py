"""The CSS of the SVG picture and of the HTML page, in light and dark colours, and the JavaScript of the page."""

from __future__ import annotations

# The SVG picture.
PICTURE = """
.swcalls{--paper:#fff;--ink:#1c2330;--soft:#667085;--faint:#e4e7ec;--grid:#f0f2f5;--good:#17855b;--bad:#d92d20;
--odd:#dc6803;
--h0:#475467;--h1:#2e6fd9;--h2:#0e8f7e;--h3:#7a56e0;--h4:#a87900;--h5:#c2317f;--h6:#3f8a2e;
--h7:#a4532a;
font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,Inter,"Helvetica Neue",Arial,sans-serif;
font-size:11px}
@media(prefers-color-scheme:dark){.swcalls{--paper:#12161d;--ink:#e6eaf0;--soft:#8d98a9;--faint:#262d38;--grid:#1c222b;
--good:#4cc38a;
--bad:#ff6369;--odd:#f5a623;--h0:#8b97a8;--h1:#6ea8fe;--h2:#3ec7b4;--h3:#a78bfa;--h4:#e0b341;--h5:#f472b6;--h6:#7cc96a;
--h7:#e0956a}}
.swcalls .paper{fill:var(--paper)}
.swcalls text{fill:var(--ink)}
.swcalls .time{fill:var(--soft);text-anchor:middle;font-variant-numeric:tabular-nums}
.swcalls .grid{stroke:var(--grid);stroke-width:1}
.swcalls .rule{stroke:var(--faint);stroke-width:1}
.k0{--hue:var(--h0)}.k1{--hue:var(--h1)}.k2{--hue:var(--h2)}.k3{--hue:var(--h3)}.k4{--hue:var(--h4)}
.k5{--hue:var(--h5)}.k6{--hue:var(--h6)}.k7{--hue:var(--h7)}
.swcalls .name{font-size:12.5px;font-weight:600;fill:var(--hue)}
.swcalls .last{fill:var(--soft)}
.swcalls .span rect{fill:var(--hue)}
.swcalls .span path{fill:none;stroke:var(--paper);stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}
.swcalls .idle path{stroke:var(--hue)}
.swcalls .odd{font-size:10px;fill:var(--odd)}
.swcalls .idle rect{fill-opacity:.18}
.swcalls .answered rect{fill-opacity:.45}
.swcalls .span .state{fill:var(--paper);font-weight:600;paint-order:stroke;stroke:var(--hue);stroke-width:3px}
.swcalls .answered .state{fill:var(--ink);stroke:none}
.swcalls .idle .state{fill:var(--soft);font-weight:400;stroke:none}
.swcalls .command .tip{fill:var(--ink);stroke:var(--paper);stroke-width:1}
.swcalls .command.failed .tip,.swcalls .command.cancelled .tip{fill:var(--bad)}
.swcalls .retry .tip{fill:var(--odd);stroke:var(--paper)}
.swcalls .trip{stroke:var(--ink);stroke-width:1;opacity:.5}
.swcalls .pressed{font-size:10px;fill:var(--hue);text-anchor:middle;font-weight:600}
.swcalls .verb{font-size:10px;fill:var(--soft)}
.swcalls .verb.bad{fill:var(--bad)}
.swcalls .event circle{fill:var(--hue);stroke:var(--paper);stroke-width:2}
.swcalls .event path{fill:var(--paper);stroke:var(--odd);stroke-width:2}
.swcalls .duplicate circle,.swcalls .late circle,.swcalls .early circle{fill:var(--paper);stroke:var(--odd)}
.swcalls .unknown circle{fill:var(--odd)}
.swcalls .bad circle{fill:var(--bad);stroke:var(--paper);stroke-width:2}
.swcalls .bad path{stroke:var(--paper);stroke-width:1.6;fill:none}
.swcalls .good path{fill:var(--paper);stroke:var(--good);stroke-width:2}
.swcalls .audio path{fill:var(--paper);opacity:.55}
.swcalls .wait path{fill:none;stroke:var(--soft);stroke-width:1;opacity:.75}
.swcalls .wait .awaited{font-size:9.5px;fill:var(--soft);text-anchor:middle;paint-order:stroke;stroke:var(--paper);
stroke-width:5px}
.swcalls .wait.timeout path,.swcalls .wait.cancelled path,.swcalls .wait.error path{stroke:var(--bad);opacity:1}
.swcalls .wait.open path{stroke-dasharray:3 3}
.swcalls .mark{cursor:default}
.swcalls .mark.hot{filter:drop-shadow(0 0 3px var(--hue)) brightness(1.15)}
""".replace("\n", "")

# What the HTML page needs besides.
PAGE = """
:root{color-scheme:light dark;--back:#f5f6f8;--card:#fff;--ink:#1c2330;--soft:#667085;--line:#e4e7ec;--good:#17855b;
--bad:#d92d20;
--odd:#b54708;--hot:#eef4ff;--shade:rgb(28 35 48/.2);
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){:root{--back:#0b0e13;--card:#12161d;--ink:#e6eaf0;--soft:#8d98a9;--line:#262d38;
--good:#4cc38a;
--bad:#ff6369;--odd:#f5a623;--hot:#1a2536;--shade:rgb(230 234 240/.3)}}
*{box-sizing:border-box}
body{margin:0;padding:clamp(12px,3vw,28px);background:var(--back);color:var(--ink);
font:14px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,Inter,"Helvetica Neue",Arial,sans-serif}
main{max-width:1180px;margin:0 auto}
h1{font-size:20px;line-height:1.3;margin:0 0 2px}
h2{font-size:15px;margin:28px 0 0;font-family:var(--mono);font-weight:600;overflow-wrap:anywhere}
.lead{color:var(--soft);margin:0}
.facts{display:flex;flex-wrap:wrap;gap:8px;list-style:none;padding:0;margin:12px 0 16px}
.facts li{border:1px solid var(--line);background:var(--card);border-radius:99px;padding:2px 12px;font-size:13px}
.facts .odd{color:var(--odd);border-color:currentColor}.facts .bad{color:var(--bad);border-color:currentColor}
.picture{position:relative;background:var(--card);border:1px solid var(--line);border-radius:12px;overflow:hidden;
margin:0}
.scroll{overflow-x:auto}
.picture svg{display:block;min-width:760px;width:100%;height:auto}
.picture svg.wide{width:auto;min-width:100%}
.picture figcaption{display:none;color:var(--soft);font-size:12.5px;padding:6px 14px;border-top:1px solid var(--line)}
.picture.scrolls figcaption{display:block}
.picture::before,.picture::after{content:"";position:absolute;top:0;bottom:0;width:28px;opacity:0;pointer-events:none}
.picture::before{left:0;background:linear-gradient(to left,transparent,var(--shade))}
.picture::after{right:0;background:linear-gradient(to right,transparent,var(--shade))}
.picture.before::before,.picture.after::after{opacity:1}
.legend{display:flex;flex-wrap:wrap;gap:6px 20px;color:var(--soft);font-size:12.5px;list-style:none;padding:0;
margin:14px 0 0}
.legend svg{width:16px;height:16px;vertical-align:-3px;margin-right:5px}
details{background:var(--card);border:1px solid var(--line);border-radius:12px;overflow-x:auto;margin-top:14px}
summary{cursor:pointer;padding:10px 16px;font-weight:600}
table{border-collapse:collapse;width:100%;font-size:13px}
th{text-align:left;color:var(--soft);font-weight:500}
th,td{padding:4px 16px;border-top:1px solid var(--line);vertical-align:top;white-space:nowrap}
td:last-child{white-space:normal;overflow-wrap:anywhere;width:100%}
.clock{font-family:var(--mono);font-size:12px;color:var(--soft);text-align:right}
tr.hot td{background:var(--hot)}
.about{font-weight:600;color:var(--hue)}
.good{color:var(--good)}.bad{color:var(--bad)}.odd{color:var(--odd)}.soft{color:var(--soft)}
#card{position:fixed;z-index:2;max-width:min(560px,92vw);max-height:70vh;overflow:auto;background:var(--card);
color:var(--ink);
border:1px solid var(--line);border-radius:10px;box-shadow:0 8px 30px rgb(0 0 0/.22);padding:10px 14px;font-size:13px;
pointer-events:none}
#card.kept{pointer-events:auto}
#card b{display:block;overflow-wrap:anywhere}
#card pre{margin:8px 0 0;font:12px/1.45 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere}
#card[hidden]{display:none}
@media print{body{background:none;padding:0}details{border:0}}
""".replace("\n", "")

# Turns the <title> of each mark into a card that a click keeps open, and highlights its row in the table.
SCRIPT = r"""
(() => {
  const card = document.getElementById("card");
  let kept = null;
  const all = (mark) => document.querySelectorAll(`[data-mark="${mark.dataset.mark}"]`);
  const place = (x, y) => {
    const {width, height} = card.getBoundingClientRect();
    card.style.left = Math.max(8, Math.min(x + 14, innerWidth - width - 8)) + "px";
    card.style.top = (y + 18 + height < innerHeight ? y + 18 : Math.max(8, y - height - 14)) + "px";
  };
  const show = (mark, x, y) => {
    const [head, when, ...rest] = mark.tooltip.split("\n");
    card.replaceChildren();
    for (const [tag, text] of [["b", head], ["span", when], ["pre", rest.join("\n")]])
      if (text) card.append(Object.assign(document.createElement(tag), {textContent: text}));
    card.hidden = false;
    place(x, y);
    all(mark).forEach((other) => other.classList.add("hot"));
  };
  const hide = () => {
    card.hidden = true;
    card.classList.remove("kept");
    kept = null;
    document.querySelectorAll(".hot").forEach((other) => other.classList.remove("hot"));
  };
  for (const mark of document.querySelectorAll("svg [data-mark]")) {
    const title = mark.querySelector("title");
    mark.tooltip = title.textContent;
    mark.setAttribute("aria-label", mark.tooltip.split("\n")[0]);
    title.remove();
    mark.addEventListener("pointerenter", (event) => { if (!kept) show(mark, event.clientX, event.clientY); });
    mark.addEventListener("pointerleave", () => { if (!kept) hide(); });
    mark.addEventListener("click", (event) => {
      const again = kept === mark;
      hide();
      if (!again) { show(mark, event.clientX, event.clientY); card.classList.add("kept"); kept = mark; }
      event.stopPropagation();
    });
  }
  for (const row of document.querySelectorAll("tr[data-mark]")) {
    row.addEventListener("pointerenter", () => { if (!kept) all(row).forEach((other) => other.classList.add("hot")); });
    row.addEventListener("pointerleave", () => { if (!kept) hide(); });
  }
  for (const figure of document.querySelectorAll(".picture")) {
    const scroll = figure.querySelector(".scroll");
    const tell = () => {
      const hidden = scroll.scrollWidth - scroll.clientWidth;
      figure.classList.toggle("scrolls", hidden > 1);
      figure.classList.toggle("before", scroll.scrollLeft > 1);
      figure.classList.toggle("after", scroll.scrollLeft < hidden - 1);
    };
    scroll.addEventListener("scroll", tell, {passive: true});
    addEventListener("resize", tell);
    tell();
  }
  card.addEventListener("click", (event) => event.stopPropagation());
  document.addEventListener("click", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();
"""
