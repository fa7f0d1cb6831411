import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildExtractionGraph } from '../../backbones/extraction.js'
import { resolveBackbone } from '../../backbones/resolve.js'
import { readModel } from '../../onnx/read.js'
import { writeModel } from '../../onnx/write.js'
import { type GraphProfile, type OpTime, profileGraph, timeByOp } from '../../runtime/profile.js'
import { chooseProvider } from '../../runtime/providers/registry.js'
import { type ExtractionRequest, weightsOf } from './prepare.js'

export interface ProfileRequest
  extends Pick<
    ExtractionRequest,
    'model' | 'layers' | 'pool' | 'recipe' | 'provider' | 'rewrite' | 'cacheFolder' | 'offline' | 'progress' | 'signal'
  > {
  readonly batch: number
  /** Threads inside an operator. */
  readonly threads: number
  readonly runs: number
}

export interface ModelProfile extends GraphProfile {
  readonly backbone: string
  readonly provider: string
  readonly batch: number
  readonly threads: number
  readonly rewrites: readonly string[]
  readonly imagesPerSecond: number
  readonly ops: readonly OpTime[]
  /** Milliseconds of the same graph without rewrites; null where there are none. */
  readonly withoutRewritesMilliseconds: number | null
}

/**
 * Profiles the graph that extraction would run, operator by operator, and beside it the graph without rewrites.
 *
 * @throws Fc7Error of the backbone, the layer, the provider
 */
export async function profileModel(request: ProfileRequest): Promise<ModelProfile> {
  const resolved = await resolveBackbone(request.model, {
    cacheFolder: request.cacheFolder,
    recipeName: request.recipe,
    offline: request.offline ?? false,
  })
  const wanted = request.provider ?? 'auto'
  const provider = await chooseProvider(wanted)
  const model = await readModel((await weightsOf(resolved, request)).path)
  const folder = await mkdtemp(join(tmpdir(), 'fc7-profile-'))
  const { batch, threads, runs } = request
  const run = async (rewrite: boolean) => {
    const extraction = buildExtractionGraph(model, {
      recipe: resolved.recipe.recipe,
      card: resolved.card,
      pool: request.pool ?? 'avg',
      layers: request.layers,
      rewrites: rewrite ? undefined : [],
    })
    const path = join(folder, `${rewrite}.onnx`)
    await writeModel(extraction.model, path)
    const dims = [batch, extraction.height, extraction.width, 3]
    const profile = await profileGraph(path, dims, { providers: provider.sessionProviders, threads, runs })
    return { ...profile, rewrites: extraction.rewrites }
  }
  try {
    const result = await run(request.rewrite !== false && provider.id === 'cpu')
    const plain = result.rewrites.length > 0 ? await run(false) : null
    return {
      backbone: resolved.id,
      provider: provider.id,
      batch,
      threads,
      imagesPerSecond: (1000 * batch) / result.milliseconds,
      ...result,
      ops: timeByOp(result.nodes),
      withoutRewritesMilliseconds: plain?.milliseconds ?? null,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
