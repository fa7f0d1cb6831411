// Saves a classifier into the folder it is given, and kills itself at the n-th step of the file system. The seed is
// written into its weights too, so that files of two saves can be distinguished.
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { Classifier } from '../../dist/classifiers/classifier.js'
import { LinearModel } from '../../dist/trainers/linear/model.js'
import { Preprocess } from '../../dist/trainers/preprocess/preprocess.js'

const [folder, killAt, seedText] = process.argv.slice(2)
let steps = 0
for (const name of ['mkdir', 'open', 'readdir', 'rename', 'rm', 'stat']) {
  const original = fs[name]
  fs[name] = (...args) => {
    if (++steps === Number(killAt)) process.kill(process.pid, 'SIGKILL')
    return original(...args)
  }
}
syncBuiltinESMExports()
const dim = 4096
const seed = Number(seedText)
const model = new LinearModel({
  weights: new Float32Array(20 * dim).fill(seed),
  bias: new Float32Array(20).fill(seed),
  softmax: false,
  facts: {},
})
const classes = Array.from({ length: 20 }, (_, c) => `class ${c}`)
const info = {
  trainer: 'nearest-mean',
  params: new Map(),
  preprocess: 'none',
  classWeight: 'none',
  seed,
  classes,
  fitted: classes.map((_, c) => c),
  dim,
  provenance: { backbone: 'generated', layer: 'fc7', recipe: 'none' },
  trainedOn: [],
  trainedImages: [],
}
await new Classifier(info, new Preprocess([], dim), model).save(folder)
console.log(`saved in ${steps} steps`)
