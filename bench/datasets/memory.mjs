// What a walk over a list or an archive costs in memory: peak resident set of a process that scans 1,000 items, beside
// one that scans a tenth of a million and one that scans a million, in one run; and what is still alive after a
// collection. Lists are CSV and JSON Lines with label, split and box; the tar holds an image of 64 bytes and a .cls.
//
//   node bench/datasets/memory.mjs [items, default 1000000]
//
// Items stream, and only ids' hashes are kept while the walk lasts (8 to 27 bytes an item: 16 MiB for a million, 24
// while the table grows). The rest of the difference is garbage that V8 lets lie: a few MiB are alive at the end.
import { execFileSync } from 'node:child_process'
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'

const many = Number(process.argv[2] ?? 1_000_000)
const few = 1000
const root = mkdtempSync(join(tmpdir(), 'fc7-memory-'))

async function write(name, count, head, line) {
  const path = join(root, name)
  const stream = createWriteStream(path)
  if (head) stream.write(head)
  for (let i = 0; i < count; i++)
    if (!stream.write(line(i))) await new Promise((resolve) => stream.once('drain', resolve))
  stream.end()
  await finished(stream)
  return path
}

const tarHeader = (name, size) => {
  const header = Buffer.alloc(512)
  header.write(name, 0, 100)
  header.write('0000644\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257)
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  )
  return header
}
const padded = (text) => Buffer.concat([Buffer.from(text), Buffer.alloc(512 - text.length)])
const forms = {
  csv: [
    'path,label,split,x,y,w,h\n',
    (i) => `one.jpg,class ${i % 100},${i % 10 ? 'train' : 'test'},${i % 977},${i % 613},20,30\n`,
  ],
  jsonl: [
    '',
    (i) => `${JSON.stringify({ path: 'one.jpg', label: `class ${i % 100}`, box: [i % 977, i % 613, 20, 30] })}\n`,
  ],
  tar: [
    '',
    (i) =>
      Buffer.concat([
        tarHeader(`${i}.jpg`, 64),
        padded('x'.repeat(64)),
        tarHeader(`${i}.cls`, 2),
        padded(String(i % 100)),
      ]),
  ],
}

const child = `
const { openDataset, scanDataset } = await import(${JSON.stringify(new URL('../../dist/datasets/open.js', import.meta.url).href)})
const started = performance.now()
const { count, fingerprint } = await scanDataset(await openDataset(process.argv[1]))
const seconds = (performance.now() - started) / 1000
const peakKiB = process.resourceUsage().maxRSS
gc()
const { heapUsed, arrayBuffers } = process.memoryUsage()
console.log(JSON.stringify({ count, peakKiB, seconds, aliveKiB: (heapUsed + arrayBuffers) / 1024 }))`

writeFileSync(join(root, 'one.jpg'), 'x')
try {
  for (const [form, [head, line]] of Object.entries(forms)) {
    const scan = async (count) => {
      const path = await write(`list-${count}.${form}`, count, head, line)
      const text = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', child, path], {
        encoding: 'utf8',
      })
      rmSync(path)
      return JSON.parse(text)
    }
    const scans = []
    for (const count of [few, many / 10, many]) scans.push(await scan(count))
    const [small, middle, large] = scans
    const mib = (kib) => (kib / 1024).toFixed(0)
    console.log(
      `${form}: ${scans.map(({ count, peakKiB, aliveKiB }) => `${count} items ${mib(peakKiB)} MiB at most, ${mib(aliveKiB)} alive`).join('; ')}; ` +
        `ratio of the peaks ${(large.peakKiB / small.peakKiB).toFixed(2)}, of the last two ${(large.peakKiB / middle.peakKiB).toFixed(2)}; ` +
        `${(large.count / large.seconds / 1000).toFixed(0)} thousand items a second`,
    )
  }
} finally {
  rmSync(root, { recursive: true, force: true })
}
