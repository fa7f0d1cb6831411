/**
 * The report's own script, as text: images behind confusion cells, the map, the theme, and everything opened for print.
 * It reads the JSON block, writes names with textContent only, and asks for nothing outside the file.
 */
export const clientScript = `(() => {
'use strict'
const data = JSON.parse(document.getElementById('fc7-data').textContent)
const all = (selector, root = document) => [...root.querySelectorAll(selector)]
const make = (tag, className, text) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text
  return element
}
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer
const sets = data.datasets.map((set) => ({ ...set, labels: new Int16Array(bytes(set.labels)), places: new Int16Array(bytes(set.places)) }))
const runs = data.candidates.map((run) => ({ ...run, rows: new Int32Array(bytes(run.rows)), predicted: new Int16Array(bytes(run.predicted)),
  sure: run.sure ? new Uint8Array(bytes(run.sure)) : null }))
const percent = (value) => Math.round(value / 2.55) + ' %'

// Images are cut from one sheet by position in percent, so that they scale with their box.
function paint(element, place, name) {
  element.setAttribute('role', 'img')
  element.setAttribute('aria-label', name)
  const sheet = data.sprite
  if (!sheet || place < 0) { element.classList.add('none'); element.textContent = 'no image'; return }
  element.classList.remove('none'); element.textContent = ''
  const large = data.large[place]
  if (large) {
    element.style.backgroundImage = 'url("' + large + '")'
    element.style.backgroundSize = 'contain'; element.style.backgroundPosition = 'center'
    return
  }
  element.classList.add('sheet')
  element.style.backgroundImage = ''
  element.style.backgroundSize = sheet.columns * 100 + '% ' + sheet.rows * 100 + '%'
  const at = (i, n) => (n > 1 ? (i / (n - 1)) * 100 : 0) + '%'
  element.style.backgroundPosition = at(place % sheet.columns, sheet.columns) + ' ' + at(Math.floor(place / sheet.columns), sheet.rows)
}
for (const element of all('.pic[data-row]')) {
  const set = sets[Number(element.dataset.set)], row = Number(element.dataset.row)
  paint(element, set.places[row], set.ids[row])
}

// ---- theme
const themes = ['auto', 'light', 'dark']
const themeButton = document.getElementById('theme')
themeButton.hidden = false
themeButton.addEventListener('click', () => {
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]
  document.documentElement.dataset.theme = next
  themeButton.textContent = 'Theme: ' + next
  redraw()
})

// ---- images behind a cell
const firstTiles = 18
function openCell(button) {
  const box = button.closest('.confusion'), panel = box.querySelector('.behind')
  const run = runs[Number(box.dataset.run)], set = sets[run.dataset]
  const label = Number(button.dataset.label), predicted = Number(button.dataset.predicted)
  const found = []
  run.rows.forEach((row, i) => { if (set.labels[row] === label && run.predicted[i] === predicted) found.push(i) })
  if (run.sure) found.sort((a, b) => run.sure[b] - run.sure[a] || a - b)
  for (const other of all('[aria-expanded=true]', box)) other.setAttribute('aria-expanded', 'false')
  button.setAttribute('aria-expanded', 'true')
  panel.classList.remove('empty'); panel.textContent = ''
  const bar = make('div', 'bar')
  const heading = make('h4', '', found.length + (found.length === 1 ? ' image of ' : ' images of ') + set.classes[label] +
    (label === predicted ? ', rightly called so' : ' called ' + set.classes[predicted]))
  heading.tabIndex = -1
  const close = make('button', 'quiet', 'Close')
  close.addEventListener('click', () => closePanel(panel, button))
  bar.append(heading, close)
  const list = make('ul', 'tiles')
  const add = (from, to) => {
    for (const i of found.slice(from, to)) {
      const item = make('li'), pic = make('span', 'pic'), row = run.rows[i]
      paint(pic, set.places[row], set.ids[row])
      item.append(pic)
      if (run.sure) item.append(make('p', '', percent(run.sure[i]) + ' sure'))
      const id = make('p', 'id', set.ids[row]); id.title = set.ids[row]
      item.append(id); list.append(item)
    }
  }
  add(0, firstTiles)
  panel.append(bar, list)
  if (found.length > firstTiles) {
    const more = make('button', 'quiet', 'Show all ' + found.length)
    more.addEventListener('click', () => { add(firstTiles); more.remove(); heading.focus() })
    panel.append(more)
  }
  panel.onkeydown = (event) => { if (event.key === 'Escape') closePanel(panel, button) }
  heading.focus({ preventScroll: true })
  panel.scrollIntoView({ block: 'nearest' })
}
function closePanel(panel, button) {
  panel.classList.add('empty')
  panel.textContent = ''
  panel.append(make('p', 'hint', 'Choose a cell to see its images.'))
  button.setAttribute('aria-expanded', 'false')
  button.focus()
}
document.addEventListener('click', (event) => {
  const button = event.target.closest && event.target.closest('button[data-label]')
  if (button) openCell(button)
})

// One tab stop a matrix; arrows walk over its cells.
function rove(table) {
  const cells = all('.cell', table), columns = table.tBodies[0].rows[0].cells.length - 1
  const buttons = cells.filter((cell) => cell.tagName === 'BUTTON')
  for (const cell of buttons) cell.tabIndex = -1
  if (buttons[0]) buttons[0].tabIndex = 0
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }
  table.addEventListener('keydown', (event) => {
    const step = moves[event.key], from = cells.indexOf(document.activeElement)
    if (!step || from < 0) return
    event.preventDefault()
    for (let to = from + step; to >= 0 && to < cells.length; to += step) {
      if (Math.abs(step) === 1 && Math.floor(to / columns) !== Math.floor(from / columns)) break
      if (cells[to].tagName !== 'BUTTON') continue
      cells[from].tabIndex = -1; cells[to].tabIndex = 0; cells[to].focus()
      break
    }
  })
}
for (const table of all('table.matrix')) rove(table)

// A matrix of many classes is built when it is asked for.
for (const holder of all('details[data-big]')) {
  holder.addEventListener('toggle', () => {
    const target = holder.querySelector('.scroll')
    if (!holder.open || target.firstChild) return
    const run = runs[Number(holder.closest('.confusion').dataset.run)], set = sets[run.dataset], k = set.classes.length
    const counts = new Int32Array(k * k), totals = new Int32Array(k)
    run.rows.forEach((row, i) => { if (set.labels[row] >= 0) { counts[set.labels[row] * k + run.predicted[i]]++; totals[set.labels[row]]++ } })
    const table = make('table', 'matrix'), head = table.createTHead().insertRow(), body = table.createTBody()
    head.append(make('td'))
    for (const name of set.classes) { const th = make('th'); th.scope = 'col'; th.append(make('span', '', name)); head.append(th) }
    for (let t = 0; t < k; t++) {
      const line = body.insertRow(), th = make('th', '', set.classes[t]); th.scope = 'row'; line.append(th)
      for (let p = 0; p < k; p++) {
        const n = counts[t * k + p], td = line.insertCell()
        const cell = make(n ? 'button' : 'span', 'cell ' + (n ? 'h' + Math.min(9, Math.floor((n / totals[t]) * 10)) + (t === p ? ' ok' : ' no') : 'zero'), String(n))
        if (n) { cell.dataset.label = t; cell.dataset.predicted = p; cell.setAttribute('aria-expanded', 'false')
          cell.setAttribute('aria-label', n + ' of ' + set.classes[t] + ' called ' + set.classes[p]) }
        td.append(cell)
      }
    }
    target.append(table); rove(table)
  })
}

// ---- map
const maps = []
function redraw() { for (const map of maps) map.draw() }
const hues = (n) => Array.from({ length: n }, (_, i) => n <= data.palette.length ? data.palette[i]
  : 'hsl(' + Math.round((i * 137.508) % 360) + ' ' + (45 + (i % 3) * 12) + '% ' + (44 + (i % 2) * 14) + '%)')
for (const box of all('.map')) {
  const spec = data.maps[Number(box.dataset.map)], set = sets[spec.dataset]
  const rows = new Int32Array(bytes(spec.rows)), xy = new Uint16Array(bytes(spec.places))
  const canvas = box.querySelector('canvas'), tip = box.querySelector('.maptip'), live = box.querySelector('.vh'), legend = box.querySelector('.legend')
  const select = box.querySelector('select'), colours = hues(set.classes.length)
  const width = 1000, height = 680, pad = 26
  const px = (i) => pad + (xy[2 * i] / 4095) * (height - 2 * pad) + (width - height) / 2
  const py = (i) => height - pad - (xy[2 * i + 1] / 4095) * (height - 2 * pad)
  // Spread over the wider axis where the shape allows.
  let low = 4095, high = 0
  for (let i = 0; i < rows.length; i++) { low = Math.min(low, xy[2 * i]); high = Math.max(high, xy[2 * i]) }
  const X = (i) => high > low ? pad + ((xy[2 * i] - low) / (high - low)) * (width - 2 * pad) : px(i)
  let only = -1, current = -1, verdicts = null
  const size = rows.length > 3000 ? 2.6 : rows.length > 800 ? 3.6 : 5
  const readRun = () => {
    verdicts = null
    if (select.value === 'class') return
    const run = runs[Number(select.value)]
    verdicts = new Map()
    run.rows.forEach((row, i) => verdicts.set(row, { right: run.predicted[i] === set.labels[row], called: run.predicted[i], sure: run.sure ? run.sure[i] : null }))
  }
  const draw = () => {
    const scale = 2, context = canvas.getContext('2d')
    canvas.width = width * scale; canvas.height = height * scale
    context.scale(scale, scale)
    const style = getComputedStyle(document.documentElement)
    const ring = style.getPropertyValue('--ink'), faint = style.getPropertyValue('--ink-3'), warm = style.getPropertyValue('--warm'), accent = style.getPropertyValue('--accent')
    const order = [...rows.keys()]
    if (verdicts) order.sort((a, b) => (verdicts.get(rows[a])?.right === false) - (verdicts.get(rows[b])?.right === false))
    for (const i of order) {
      const label = set.labels[rows[i]], verdict = verdicts && verdicts.get(rows[i])
      const dim = only >= 0 && label !== only
      context.globalAlpha = dim ? 0.08 : verdicts && (!verdict || verdict.right) ? 0.35 : 0.85
      context.fillStyle = verdicts ? (verdict ? (verdict.right ? accent : warm) : faint) : label < 0 ? faint : colours[label]
      if (verdict && !verdict.right) {
        const s = size * 1.1
        context.lineWidth = size * 0.7; context.strokeStyle = warm; context.beginPath()
        context.moveTo(X(i) - s, py(i) - s); context.lineTo(X(i) + s, py(i) + s); context.moveTo(X(i) - s, py(i) + s); context.lineTo(X(i) + s, py(i) - s); context.stroke()
      } else { context.beginPath(); context.arc(X(i), py(i), size, 0, 7); context.fill() }
    }
    context.globalAlpha = 1
    if (current >= 0) { context.lineWidth = 2; context.strokeStyle = ring; context.beginPath(); context.arc(X(current), py(current), size + 4, 0, 7); context.stroke() }
  }
  const show = (i, speak) => {
    if (i === current && !speak) return
    current = i; draw()
    if (i < 0) { tip.hidden = true; return }
    const row = rows[i], verdict = verdicts && verdicts.get(row), name = set.labels[row] < 0 ? '(no label)' : set.classes[set.labels[row]]
    tip.textContent = ''
    const pic = make('span', 'pic'); paint(pic, set.places[row], set.ids[row]); tip.append(pic, make('p', '', name))
    let said = set.ids[row] + ', ' + name
    if (verdict && !verdict.right) { tip.append(make('p', 'was', 'called ' + set.classes[verdict.called])); said += ', called ' + set.classes[verdict.called] }
    tip.append(make('p', 'id', set.ids[row]))
    tip.hidden = false
    const rect = canvas.getBoundingClientRect(), x = (X(i) / width) * rect.width, y = (py(i) / height) * rect.height
    tip.style.left = Math.max(4, Math.min(rect.width - tip.offsetWidth - 4, x + 16 + tip.offsetWidth > rect.width ? x - tip.offsetWidth - 16 : x + 16)) + 'px'
    tip.style.top = Math.max(4, Math.min(rect.height - tip.offsetHeight - 4, y - tip.offsetHeight / 2)) + 'px'
    if (speak) live.textContent = said
  }
  const nearest = (x, y, reach, accept) => {
    let best = -1, least = reach * reach
    for (let i = 0; i < rows.length; i++) {
      if (only >= 0 && set.labels[rows[i]] !== only) continue
      const dx = X(i) - x, dy = py(i) - y, d = dx * dx + dy * dy
      if (d < least && (!accept || accept(dx, dy, i))) { least = d; best = i }
    }
    return best
  }
  canvas.addEventListener('pointermove', (event) => {
    const rect = canvas.getBoundingClientRect()
    show(nearest(((event.clientX - rect.left) / rect.width) * width, ((event.clientY - rect.top) / rect.height) * height, 18), false)
  })
  canvas.addEventListener('pointerleave', () => show(-1, false))
  canvas.addEventListener('blur', () => show(-1, false))
  const ways = { ArrowLeft: (dx, dy) => -dx > Math.abs(dy), ArrowRight: (dx, dy) => dx > Math.abs(dy), ArrowUp: (dx, dy) => -dy > Math.abs(dx), ArrowDown: (dx, dy) => dy > Math.abs(dx) }
  canvas.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') return show(-1, false)
    const way = ways[event.key]
    if (!way) return
    event.preventDefault()
    const from = current
    const to = from < 0 ? nearest(width / 2, height / 2, 2000) : nearest(X(from), py(from), 2000, (dx, dy, i) => i !== from && way(dx, dy))
    if (to >= 0) show(to, true)
  })
  const drawLegend = () => {
    legend.textContent = ''
    if (verdicts) {
      for (const [text, colour] of [['right', 'var(--accent)'], ['wrong', 'var(--warm)']]) {
        const entry = make('span', 'quiet', text), dot = make('i'); dot.style.background = colour; entry.prepend(dot); legend.append(entry)
      }
      return
    }
    set.classes.forEach((name, c) => {
      if (c >= 60) return
      const entry = make('button', 'quiet', name), dot = make('i'); dot.style.background = colours[c]; entry.prepend(dot)
      entry.setAttribute('aria-pressed', String(only === c))
      entry.addEventListener('click', () => {
        only = only === c ? -1 : c
        all('button', legend).forEach((other, o) => other.setAttribute('aria-pressed', String(only === o)))
        show(-1, false); draw()
      })
      legend.append(entry)
    })
  }
  select.addEventListener('change', () => { only = -1; readRun(); drawLegend(); current = -1; tip.hidden = true; draw() })
  readRun(); drawLegend(); draw()
  maps.push({ draw })
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)

// ---- print: what is folded away is opened, and folded again afterwards. Of many candidates the best are printed, with
// those that the reader has opened; long tables of pairs stay in the file.
let folded = []
addEventListener('beforeprint', () => {
  folded = all('details:not([open])').filter((d) => d.dataset.big === undefined && d.dataset.long === undefined)
  for (const d of folded) d.open = true
})
addEventListener('afterprint', () => { for (const d of folded) d.open = false; folded = [] })
// A link into a folded part opens it.
const reveal = () => {
  let target = null
  try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))) } catch { return }
  const holder = target && target.closest('details')
  if (holder) { holder.open = true; target.scrollIntoView() }
}
addEventListener('hashchange', reveal); reveal()
document.documentElement.dataset.ready = 'yes'
})()`
