// Runs transformers.js' image-feature-extraction in a process of its own: `node server.mjs <model folder> <threads>
// <batch>`, then a list of paths for each message, answered with the seconds that it took.
import { env, pipeline } from '@huggingface/transformers'

const [folder, threads, batch] = process.argv.slice(2)
env.allowRemoteModels = false
env.localModelPath = ''
const extract = await pipeline('image-feature-extraction', folder, {
  dtype: 'fp32',
  device: 'cpu',
  session_options: { intraOpNumThreads: Number(threads), interOpNumThreads: 1 },
})
process.on('message', async (paths) => {
  const started = performance.now()
  let dims
  for (let i = 0; i < paths.length; i += Number(batch))
    dims = (await extract(paths.slice(i, i + Number(batch)), { pool: true })).dims
  process.send({ seconds: (performance.now() - started) / 1000, dims })
})
process.send('ready')
