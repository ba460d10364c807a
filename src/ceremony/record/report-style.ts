/** The report's one style sheet: screens of any width, dark and light, and paper. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5b5b5b; --paper: #fff; --line: #c9c9c9; --tint: #f3f3f1;
  --good: #14652f; --bad: #a11515; --badtint: #fdeeee; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e3; --soft: #a5a5a0; --paper: #161616; --line: #444; --tint: #222; --good: #6fce8d;
    --bad: #ff8b84; --badtint: #331a1a; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; padding-bottom: .2rem; border-bottom: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 1.5rem 0 .3rem; }
p { margin: .4rem 0; }
code { font: .86em/1.5 ui-monospace, 'DejaVu Sans Mono', Consolas, monospace; }
.rehearsal { margin: 0 0 1rem; padding: .7rem 1rem; border: 4px double var(--bad); color: var(--bad); text-align: center;
  font-weight: 700; }
.rehearsal strong { display: block; font-size: 2rem; letter-spacing: .25em; line-height: 1.2; }
.exception { margin: .6rem 0; padding: .5rem .8rem; border-left: 5px solid var(--bad); background: var(--badtint); }
.soft { color: var(--soft); }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 700; }
dl { margin: .3rem 0; }
dl > div { display: grid; grid-template-columns: 11rem 1fr; gap: 0 1rem; padding: .15rem 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
table { width: 100%; border-collapse: collapse; margin: .4rem 0; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
th, td { overflow-wrap: break-word; }
code { overflow-wrap: anywhere; }
.events { list-style: none; margin: .3rem 0; padding: 0; }
.events > li { padding: .4rem 0 .4rem .8rem; border-left: 2px solid var(--line); margin-bottom: .4rem; }
.events dl { font-size: .93rem; }
.head { padding: .8rem 1rem; background: var(--tint); }
.words { columns: 4; padding-left: 2.2rem; margin: .6rem 0 0; }
.sign td { height: 3.2rem; }
.box { display: inline-block; width: .9rem; height: .9rem; border: 1px solid var(--ink); vertical-align: -.1rem; }
@media (max-width: 40rem) {
  body { padding: 1rem .8rem 3rem; }
  h1 { font-size: 1.4rem; }
  .rehearsal strong { font-size: 1.5rem; letter-spacing: .12em; }
  dl > div { display: block; padding: .25rem 0; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; }
  tr { padding: .4rem 0; border-bottom: 1px solid var(--line); }
  td { border: 0; padding: .1rem 0; }
  td:empty { display: none; }
  td::before { content: attr(data-name) ': '; color: var(--soft); }
  .sign td { height: auto; min-height: 1.8rem; }
  .sign td:empty { display: block; }
  .words { columns: 2; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #333; --paper: #fff; --line: #999; --tint: #fff; --good: #000;
    --bad: #000; --badtint: #fff; }
  @page { margin: 16mm 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3 { break-after: avoid; }
  tr, li, .head, .exception, dl > div { break-inside: avoid; }
  .head { border: 1px solid #000; }
  .signatures { break-before: page; }
}
`;
