"""The CSS of the page, in light and dark colours, for wide and narrow screens."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--back:#f5f6f8;--card:#fff;--ink:#1c2330;--soft:#5b6577;--line:#e0e4ea;--good:#146c4b;
--bad:#b42318;--odd:#93370d;--accent:#1d4ed8;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){:root{--back:#0b0e13;--card:#12161d;--ink:#e6eaf0;--soft:#9aa5b5;--line:#2b3340;
--good:#4cc38a;--bad:#ff8589;--odd:#f5a623;--accent:#8ab4ff}}
*{box-sizing:border-box}
body{margin:0;padding:24px;background:var(--back);color:var(--ink);
font:15px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,Inter,"Helvetica Neue",Arial,sans-serif}
main{max-width:1180px;margin:0 auto}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 16px}
header form{margin-left:auto}
h1{font-size:22px;line-height:1.3;margin:0}
h2{font-size:16px;margin:28px 0 8px}
h3{font:600 14px/1.5 var(--mono);margin:18px 0 6px;overflow-wrap:anywhere}
h3 span{font:14px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,Inter,"Helvetica Neue",Arial,sans-serif}
p{margin:8px 0}
code,.id{font-family:var(--mono);font-size:.92em}
a{color:var(--accent)}
.soft,h3 span,dt{color:var(--soft)}
.good{color:var(--good)}.bad{color:var(--bad)}.odd{color:var(--odd)}
#status{margin:0;color:var(--soft)}
#status.live{color:var(--good)}
#status.lost{color:var(--bad)}
button,input{font:inherit;color:inherit;background:var(--card);border:1px solid var(--soft);border-radius:8px;
padding:5px 12px}
button{cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{width:100%;border-collapse:separate;border-spacing:0;background:var(--card);border:1px solid var(--line);
border-radius:12px}
th,td{text-align:left;padding:7px 14px;vertical-align:top;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft);font-size:13px}
tbody th{color:var(--ink);font-size:inherit}
tbody td,tbody th{border-top:1px solid var(--line)}
tbody th,.for{white-space:nowrap}
.address{overflow-wrap:anywhere;min-width:168px}
.state span::before{content:"";display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:7px;
background:var(--odd)}
.up .state span::before{background:var(--good)}
.ended .state span::before{background:none;border:2px solid var(--soft)}
.ended td{color:var(--soft)}
.running span{display:inline-block;border:1px solid var(--line);border-radius:99px;padding:0 10px;margin:0 4px 2px 0}
.picture{background:var(--card);border:1px solid var(--line);border-radius:12px;overflow-x:auto;margin:0}
.picture svg{display:block;min-width:760px;width:100%;height:auto}
.picture svg.wide{width:auto;min-width:100%}
.sideways{display:none}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:8px;margin:0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:8px 14px;display:flex;
flex-direction:column-reverse}
dd{margin:0;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
dt{font-size:13px}
.login{max-width:380px;margin:12vh auto 0;display:flex;flex-direction:column;gap:10px}
[hidden]{display:none!important}
@media(max-width:820px){
body{padding:16px}
.sideways{display:block}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,tr,td,tbody th{display:block}
tr{padding:8px 0;border-top:1px solid var(--line)}
tr:first-child{border-top:0}
tbody td,tbody th{border:0;padding:2px 14px 2px 112px;position:relative;min-height:28px;
overflow-wrap:anywhere}
tbody td::before,tbody th::before{content:attr(data-column);position:absolute;left:14px;color:var(--soft);
font-weight:400;font-size:13px}
dl{grid-template-columns:repeat(2,1fr)}
}
""".replace("\n", "")
