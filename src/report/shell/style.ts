/** The report's style sheet. Colours are variables so that charts, drawn once, follow light, dark and print. */
const light = `
--paper:#fbfaf7;--card:#ffffff;--ink:#20242a;--ink-2:#4c535c;--ink-3:#8b9199;--line:#e3e0d8;
--accent:#1f6f78;--warm:#c2622d;--mark:#f3efe4;--good:#2c7a4b;--shade:rgba(40,35,20,.07);color-scheme:light;`
const dark = `
--paper:#15181b;--card:#1c2024;--ink:#e9e6df;--ink-2:#b6b9bd;--ink-3:#7d838a;--line:#31363c;
--accent:#5fb3bb;--warm:#e39462;--mark:#24292d;--good:#72c093;--shade:rgba(0,0,0,.35);color-scheme:dark;`

const heat = Array.from({ length: 10 }, (_, i) => {
  const share = 8 + i * 9
  const over = i >= 6 ? 'color:var(--paper);' : ''
  return (
    `.h${i}.ok{background:color-mix(in srgb,var(--accent) ${share}%,var(--card));${over}}` +
    `.h${i}.no{background:color-mix(in srgb,var(--warm) ${share}%,var(--card));${over}}`
  )
}).join('\n')

export const styleSheet = `
:root{${light}
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","Liberation Sans",Arial,sans-serif;
--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Book Antiqua",Charter,Georgia,"Liberation Serif",serif;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${dark}}}
:root[data-theme=dark]{${dark}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:4rem;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 var(--sans);font-variant-numeric:tabular-nums}
a{color:var(--accent);text-underline-offset:.2em}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-99em}.skip:focus{left:1rem;top:1rem;background:var(--card);padding:.5rem 1rem;z-index:9}
.wrap{max-width:68rem;margin:0 auto;padding:0 1.5rem}
nav.top{position:sticky;top:0;z-index:5;background:color-mix(in srgb,var(--paper) 92%,transparent);border-bottom:1px solid var(--line);
backdrop-filter:blur(6px);font-size:.85rem}
nav.top .wrap{display:flex;gap:1.25rem;align-items:center;min-height:3rem}
nav.top ul{display:flex;gap:1.25rem;list-style:none;margin:0;padding:0;overflow-x:auto;flex:1;scrollbar-width:none}
nav.top a{color:var(--ink-2);text-decoration:none;white-space:nowrap}nav.top a:hover{color:var(--ink)}
button,select{font:inherit;color:inherit}
.quiet{background:none;border:1px solid var(--line);border-radius:99px;padding:.2rem .8rem;font-size:.8rem;color:var(--ink-2);cursor:pointer;white-space:nowrap}
.quiet:hover{border-color:var(--ink-3);color:var(--ink)}
.quiet[aria-pressed=true]{background:var(--mark);color:var(--ink);border-color:var(--ink-3)}
header{padding:3.5rem 0 0}
.eyebrow{font-size:.75rem;letter-spacing:.12em;text-transform:uppercase;color:var(--ink-3);margin:0 0 .4rem}
h1,h2,h3,.headline{font-family:var(--serif);font-weight:600;line-height:1.2;text-wrap:balance;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:0;font-weight:500;color:var(--ink-2)}
.headline{font-size:clamp(1.8rem,4.4vw,3rem);letter-spacing:-.015em;margin:.8rem 0 1.2rem;max-width:24em}
.lead{font-size:1.075rem;max-width:46em;margin:0 0 .5rem;color:var(--ink-2)}.lead:first-of-type{color:var(--ink)}
section{padding:3rem 0 0}
h2{font-size:1.55rem;margin:0 0 .35rem}h3{font-size:1.1rem;margin:1.8rem 0 .5rem}
h4{font-size:.8rem;font-weight:600;letter-spacing:.02em;margin:0 0 .5rem;color:var(--ink-2)}
.about{color:var(--ink-2);max-width:46em;margin:0 0 1.2rem;font-size:.95rem}
.note{color:var(--ink-3);font-size:.85rem;max-width:46em}
.facts{display:flex;flex-wrap:wrap;gap:.5rem 2.5rem;margin:1.8rem 0 0;padding:1.1rem 0 0;border-top:1px solid var(--line)}
.facts div{min-width:6rem}.facts dt{font-size:.75rem;color:var(--ink-3)}.facts dd{margin:0;font-size:1.05rem;overflow-wrap:anywhere}
ul.warn{list-style:none;padding:0;margin:1.5rem 0 0;max-width:48em}
ul.warn li{padding:.5rem .9rem;margin:.4rem 0;background:var(--mark);border-left:3px solid var(--ink-3);font-size:.92rem;overflow-wrap:anywhere}
ul.warn li.note{color:inherit;font-size:.92rem}ul.warn li.warning{border-color:var(--warm)}ul.warn b{font-weight:600}
.scroll{position:relative;overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.88rem}
table.plain{width:100%}
.plain th,.plain td{text-align:right;padding:.5rem .7rem;border-bottom:1px solid var(--line);vertical-align:baseline;white-space:nowrap}
.plain thead th{font-weight:500;color:var(--ink-3);font-size:.78rem;vertical-align:bottom;white-space:normal}
.plain .l{text-align:left}.plain td.name,.plain th.name{text-align:left;font-weight:500;white-space:normal;overflow-wrap:anywhere;min-width:10rem}
.plain tbody tr:first-child td{border-top:1px solid var(--ink-3)}
.plain tr.base{color:var(--ink-3)}.plain .iv{color:var(--ink-3);font-size:.8rem;display:block}
.plain tr.best .name,.plain tr.best td.main{color:var(--accent);font-weight:650}.plain tr.best td.main .iv{font-weight:400}
.plain tbody th{font-weight:500}.plain tbody a{text-decoration-color:color-mix(in srgb,var(--accent) 35%,transparent)}.plain tr.holds td:last-child{color:var(--good);font-weight:600}.tests td:last-child{color:var(--ink-3)}
.chartbox{margin:1rem 0}.chart{max-width:100%;height:auto;display:block}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(19rem,100%),1fr));gap:2rem 2.2rem;margin:1.8rem 0}
.grid figure,.chartbox figure{margin:0}figcaption{font-size:.8rem;color:var(--ink-3);margin-top:.4rem;max-width:34em}
details.cand{border-top:1px solid var(--line)}details.cand:last-of-type{border-bottom:1px solid var(--line)}
details.cand>summary{display:flex;gap:1rem;align-items:baseline;padding:.9rem 0;cursor:pointer;list-style:none}
details.cand>summary::-webkit-details-marker{display:none}
details.cand>summary::before{content:"";width:.45em;height:.45em;border:solid var(--ink-3);border-width:0 1.5px 1.5px 0;transform:rotate(-45deg);flex:none;transition:transform .15s}
details.cand[open]>summary::before{transform:rotate(45deg)}
summary .t{font-family:var(--serif);font-size:1.15rem;font-weight:600;overflow-wrap:anywhere}
summary .v{margin-left:auto;color:var(--ink-2);white-space:nowrap}
details.cand>div{padding:0 0 2.5rem}
details.more{margin:1.2rem 0}details.more>summary{cursor:pointer;color:var(--ink-2);font-size:.9rem}
dl.kv{display:grid;grid-template-columns:fit-content(40%) minmax(0,1fr);gap:.15rem 1.2rem;font-size:.85rem;margin:.4rem 0 1.4rem}
dl.kv dt{color:var(--ink-3);overflow-wrap:anywhere}dl.kv dd{margin:0;overflow-wrap:anywhere}
.confusion{display:grid;grid-template-columns:minmax(0,max-content) minmax(16rem,1fr);gap:1.2rem 2.2rem;align-items:start}
@media (max-width:46rem){.confusion{grid-template-columns:minmax(0,1fr)}}
table.matrix{border-spacing:2px;border-collapse:separate;font-size:.8rem}
.matrix td{padding:0;text-align:center}.matrix th{font-weight:400;color:var(--ink-2);padding:.1rem .4rem}
.matrix th[scope=row]{text-align:right;max-width:11rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.matrix thead th[scope=col]{vertical-align:bottom}
.matrix thead th[scope=col] span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:9rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;display:inline-block}
.matrix .axis{color:var(--ink-3);font-size:.75rem}
.cell{display:block;min-width:2.35rem;height:2.1rem;border:0;border-radius:3px;background:var(--mark);padding:0 .3rem;width:100%}
button.cell{cursor:pointer}button.cell:hover{box-shadow:inset 0 0 0 2px var(--ink-3)}button.cell[aria-expanded=true]{box-shadow:inset 0 0 0 2px var(--ink)}
.cell.zero{color:transparent;background:var(--mark);opacity:.6}
${heat}
.behind{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1rem 1.1rem;min-width:0}
.behind h4{margin:0;font-size:.95rem;color:var(--ink);min-width:0;overflow-wrap:anywhere}.behind .bar button{flex:none}.behind .bar{display:flex;justify-content:space-between;gap:1rem;margin-bottom:.8rem;align-items:baseline}
.hint{color:var(--ink-3);font-size:.88rem;margin:0}
.tiles{display:flex;flex-wrap:wrap;gap:.9rem .8rem;margin:0;padding:0;list-style:none}
.tiles li{width:7rem;font-size:.75rem;line-height:1.35}
.tiles.big li{width:8.6rem}
.behind .tiles{max-height:34rem;overflow-y:auto}.behind .tiles li{width:6rem}
.pic{display:block;width:100%;aspect-ratio:1;border-radius:4px;background-color:var(--mark);background-repeat:no-repeat;-webkit-print-color-adjust:exact;print-color-adjust:exact}
.pic.none{display:grid;place-items:center;color:var(--ink-3);font-size:.7rem;border:1px dashed var(--line)}
.tiles p{margin:.25rem 0 0;overflow-wrap:anywhere}.tiles .id{color:var(--ink-3);display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}
.was{color:var(--warm)}.is{color:var(--good)}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(16rem,100%),1fr));gap:1.2rem 1.6rem;list-style:none;padding:0;margin:0}
.pairs li{font-size:.78rem;line-height:1.4;min-width:0}.pairs .two{display:grid;grid-template-columns:1fr 1fr;gap:.5rem}.pairs .two>div{min-width:0}.pairs p{margin:.25rem 0 0;overflow-wrap:anywhere}
.mapbox{position:relative;background:var(--card);border:1px solid var(--line);border-radius:8px;overflow:hidden;max-width:52rem}
.mapbox canvas{display:block;width:100%;height:auto;touch-action:pan-y;cursor:crosshair}
.maptip{position:absolute;pointer-events:none;background:var(--card);border:1px solid var(--line);border-radius:8px;box-shadow:0 6px 24px var(--shade);padding:.6rem;width:9.5rem;font-size:.75rem;line-height:1.35;z-index:3}
.maptip p{margin:.3rem 0 0;overflow-wrap:anywhere}
.tools{display:flex;flex-wrap:wrap;gap:.5rem .8rem;align-items:center;margin:0 0 .8rem;font-size:.85rem}
.tools select{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.25rem .5rem;max-width:18rem}
.legend{display:flex;flex-wrap:wrap;gap:.3rem .4rem;margin:.8rem 0 0;max-width:52rem}
.legend .quiet i{display:inline-block;width:.65em;height:.65em;border-radius:50%;margin-right:.4em}
pre{background:var(--mark);border-radius:6px;padding:.9rem 1.1rem;overflow-x:auto;font:.82rem/1.5 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere}
code{font:.9em var(--mono)}
footer{margin:4rem 0 3rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--ink-3);font-size:.8rem}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
[hidden]{display:none!important}
@media screen and (max-width:40rem){.chartbox figure{overflow-x:auto}.chartbox .chart{min-width:34rem;max-width:none}}
@media (max-width:40rem){.wrap{padding:0 1rem}header{padding-top:2rem}section{padding-top:2.4rem}.tiles li{width:5.4rem}.tiles.big li{width:6.6rem}summary .v{font-size:.85rem}}
@media print{
:root,:root[data-theme],:root:not([data-theme=light]){${light}--paper:#fff}
@page{margin:16mm 14mm}
body{font-size:10.5pt}nav.top,.skip,.tools,.quiet,.hint{display:none!important}
.legend .quiet{display:inline-block!important;border:0;padding:0 .5rem 0 0}
header{padding:0}section{padding-top:1.6rem}h2,h3,h4{break-after:avoid}figure,.tiles li,.pairs li,tr,.mapbox{break-inside:avoid}
.scroll{overflow:visible}table.plain{font-size:8pt}.plain th,.plain td{padding:.3rem .35rem}.plain .iv{font-size:7pt}summary,.about{break-after:avoid}table.matrix{break-inside:avoid}details.cand>summary::before{display:none}.matrix .cell{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.confusion{grid-template-columns:minmax(0,1fr)}.confusion .behind.empty{display:none}
.grid{grid-template-columns:1fr 1fr}.legend i{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
`
