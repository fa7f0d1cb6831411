// Images unlike any photograph: eight classes of grey textures that differ a little in direction, scale or distribution
// alone, under grain and changing contrast, drawn from a seed. node bench/advisor/textures.mjs <folder> [images a class
// = 60] [seed = 0]  writes <folder>/<class>/<n>.png
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import sharp from 'sharp'
import { createRandom } from '../../dist/base/random.js'

const side = 160

/** A sum of `waves` cosines; `draw` gives each its direction (radians) and its cycles over the image. */
function cosines(random, waves, draw) {
  const parts = Array.from({ length: waves }, () => {
    const { angle, cycles } = draw(random)
    const k = (2 * Math.PI * cycles) / side
    return { x: k * Math.cos(angle), y: k * Math.sin(angle), phase: random.next() * 2 * Math.PI }
  })
  return (x, y) => parts.reduce((sum, p) => sum + Math.cos(p.x * x + p.y * y + p.phase), 0) / Math.sqrt(waves)
}
const spread = (random, middle, width) => middle + (random.next() - 0.5) * width
const any = (random) => random.next() * Math.PI

/** Stripes: waves in nearly one direction. */
const stripes = (r, angle) => cosines(r, 6, () => ({ angle: spread(r, angle, 0.5), cycles: spread(r, 14, 8) }))
/** Waves in every direction. */
const noise = (r, cycles) => cosines(r, 24, () => ({ angle: any(r), cycles: spread(r, cycles, 5) }))

/** Value of a pixel in about [-2, 2]. Neighbouring classes differ in one thing only, and by little. */
const kinds = {
  'stripes-00': (r) => stripes(r, 0),
  'stripes-12': (r) => stripes(r, 0.21),
  'stripes-24': (r) => stripes(r, 0.42),
  'noise-coarse': (r) => noise(r, 9),
  'noise-middle': (r) => noise(r, 11),
  'noise-fine': (r) => noise(r, 13),
  // The same spectrum as noise-middle; its extremes are pressed, or pulled out to one side.
  'noise-pressed': (r) => {
    const wave = noise(r, 11)
    return (x, y) => 1.3 * Math.tanh(1.5 * wave(x, y))
  },
  'noise-skewed': (r) => {
    const wave = noise(r, 11)
    return (x, y) => 0.7 * (wave(x, y) + 0.5 * (wave(x, y) ** 2 - 0.5))
  },
}

/** Writes the set; equal arguments write equal pixels. */
export async function writeTextures(folder, perClass, seed) {
  for (const [name, kind] of Object.entries(kinds)) {
    await mkdir(join(folder, name), { recursive: true })
    for (let i = 0; i < perClass; i++) {
      const random = createRandom(`${seed}/${name}/${i}`)
      const value = kind(random)
      const contrast = 12 + 24 * random.next()
      const middle = 90 + 75 * random.next()
      const grain = 10 + 20 * random.next()
      const pixels = new Uint8Array(side * side)
      for (let p = 0; p < pixels.length; p++) {
        const grey = middle + contrast * value(p % side, Math.floor(p / side)) + grain * random.normal()
        pixels[p] = Math.max(0, Math.min(255, Math.round(grey)))
      }
      await sharp(pixels, { raw: { width: side, height: side, channels: 1 } })
        .png()
        .toFile(join(folder, name, `${String(i).padStart(4, '0')}.png`))
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [folder, perClass = '60', seed = '0'] = process.argv.slice(2)
  if (folder === undefined) throw new Error('node bench/advisor/textures.mjs <folder> [images a class] [seed]')
  await writeTextures(folder, Number(perClass), Number(seed))
}
