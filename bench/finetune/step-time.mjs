// Median time of a training step, for every bench that needs one.
import { createRandom } from '../../dist/base/random.js'
import { buildTrainingGraph } from '../../dist/training/graph/graph.js'
import { prepareNetwork } from '../../dist/training/network.js'
import { TrainingRunner } from '../../dist/training/runner.js'

export const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

/** Rows of seeded noise and a training graph of `model` that takes `perRun` steps a run, with SGD, on two threads. */
export async function openTraining(model, parameters, { batch, perRun }) {
  const graph = buildTrainingGraph({
    network: prepareNetwork(model, batch),
    logits: 'logits',
    trainable: parameters.map(({ name }) => name),
    loss: { kind: 'softmax' },
    optimizer: { kind: 'sgd' },
    weightDecay: 1e-4,
    frozenOutside: true,
  })
  const runner = await TrainingRunner.open(graph, { threads: 2 })
  const rows = perRun * batch
  const count = rows * graph.rowShape.reduce((a, b) => a * b, 1)
  const random = createRandom(1)
  const pixels = graph.inputType === 'uint8'
  const Values = pixels ? Uint8Array : Float32Array
  const data = Values.from({ length: count }, () => (pixels ? random.int(256) : random.next()))
  const index = Array.from({ length: rows }, (_, i) => i)
  runner.setRows({ data, labels: index.map((i) => i % 10) })
  return {
    /** Milliseconds of a step, one run's mean. */
    async run() {
      const start = performance.now()
      await runner.run({ index, lr: new Array(perRun).fill(1e-6), seed: 1, epoch: 0 })
      return (performance.now() - start) / perRun
    },
    close: () => runner.close(),
  }
}

/** Runs that are not counted: the runtime's memory still grows in the second one (page faults, about 15 us each). */
const warmUp = 2

/** Median over at least `steps` steps, after the warm-up. */
export async function stepTime(model, parameters, { batch, perRun, steps }) {
  const training = await openTraining(model, parameters, { batch, perRun })
  for (let run = 0; run < warmUp; run++) await training.run()
  const times = []
  for (let done = 0; done < steps; done += perRun) times.push(await training.run())
  await training.close()
  return median(times)
}
