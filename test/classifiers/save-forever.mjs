// Saves one classifier after another into the folder it is given, until it is killed. Each has another seed, which is
// written into its weights too, so that files of two saves can be told apart.
import { Classifier } from '../../dist/classifiers/classifier.js'
import { LinearModel } from '../../dist/trainers/linear/model.js'
import { Preprocess } from '../../dist/trainers/preprocess/preprocess.js'

const [folder] = process.argv.slice(2)
const dim = 4096
for (let seed = 1; ; seed++) {
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
  if (seed === 1) console.log('saving')
}
