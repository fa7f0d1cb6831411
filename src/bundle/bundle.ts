import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { buildExtractionGraph, type ExtractionOptions, pixelsName } from '../backbones/extraction.js'
import { Fc7Error } from '../base/errors.js'
import { explainWriteError, syncFolder, temporaryName } from '../base/files.js'
import { createRandom } from '../base/random.js'
import type { Classifier } from '../classifiers/classifier.js'
import { predictedClasses } from '../classifiers/classifier.js'
import {
  classifierMetadata,
  classifierModel,
  embeddingName,
  labelName,
  scoresName,
  withMetadata,
} from '../classifiers/onnx-form.js'
import type { ExtractionFacts } from '../classifiers/provenance.js'
import type { PixelSize, Recipe } from '../images/recipe/recipe.js'
import { checkModel } from '../onnx/check.js'
import { joinModels, renameTensors, withModel } from '../onnx/edit.js'
import type { ModelProto } from '../onnx/generated/onnx_pb.js'
import { graphOf, opsetOf } from '../onnx/walk.js'
import { writeModel } from '../onnx/write.js'
import { loadOrt } from '../runtime/ort.js'
import { closeSession, openSession } from '../runtime/session.js'

/** Recipe, trunk and classifier as one model, and the trunk alone to check it by. */
export interface Bundle extends PixelSize {
  /**
   * `pixels` uint8 `[N, height, width, 3]` RGB → `label` string `[N]`, `probabilities` or `scores` float32 `[N,
   * classes]`.
   */
  readonly model: ModelProto
  /** The same up to the embedding. */
  readonly trunk: ModelProto
  /** The trunk's output. */
  readonly embedding: string
  readonly recipe: Recipe
}

/** What a classifier says of how images become its embeddings. @throws Fc7Error BUNDLE_NO_RECIPE */
export function extractionOf(classifier: Classifier): ExtractionFacts {
  const { extraction, backbone } = classifier.info.provenance
  if (extraction) return extraction
  throw new Fc7Error(
    'BUNDLE_NO_RECIPE',
    `The classifier was trained on embeddings made elsewhere (${backbone}): how images become them is not known.`,
    { hint: '`fc7 train --onnx` writes the classifier alone, from embeddings to classes.' },
  )
}

/**
 * Joins recipe, trunk and classifier into one ONNX graph from pixels to classes. Images are resized and cropped
 * outside, to the size that the result tells; channel order, scale, mean and std are inside.
 *
 * @param backbone the network that the classifier's embeddings came from
 * @throws Fc7Error BUNDLE_NO_RECIPE, CLASSIFIER_MISMATCH for another width, ONNX_OPSET, ONNX_NOT_SUPPORTED, and
 * buildExtractionGraph's
 */
export function buildBundle(classifier: Classifier, backbone: ModelProto, card: ExtractionOptions['card']): Bundle {
  const facts = extractionOf(classifier)
  const recipe = facts.recipe.steps
  const built = buildExtractionGraph(backbone, { recipe, layers: [facts.tensor], pool: facts.pool, card })
  const layer = built.layers[0]!
  if (layer.dim !== classifier.info.dim) {
    throw new Fc7Error(
      'CLASSIFIER_MISMATCH',
      `The classifier reads embeddings of ${classifier.info.dim} numbers, the network's ${facts.tensor} gives ` +
        `${layer.dim}.`,
      { hint: 'Is --model the network that the store was made with?' },
    )
  }
  const upper = classifierModel(classifier, opsetOf(built.model))
  const lower = withoutNames(built.model, new Set([labelName, scoresName(classifier.scoreKind)]))
  const joined = joinModels(lower, upper, new Map([[embeddingName, layer.output]]), { prefix: 'classifier/' })
  const model = withMetadata(joined, {
    ...classifierMetadata(classifier),
    'fc7.input': JSON.stringify({
      name: pixelsName,
      layout: 'NHWC',
      order: 'RGB',
      height: built.height,
      width: built.width,
    }),
    'fc7.resize': JSON.stringify({ resize: recipe.resize, crop: recipe.crop, orient: facts.orient }),
  })
  checkModel(model, 'The bundle')
  return { model, trunk: built.model, embedding: layer.output, recipe, width: built.width, height: built.height }
}

/** The model with its inner tensors renamed where one has a name that the classifier's outputs need. */
function withoutNames(model: ModelProto, taken: ReadonlySet<string>): ModelProto {
  const graph = graphOf(model)
  const names = [...graph.node.flatMap((node) => node.output), ...graph.initializer.map((tensor) => tensor.name)]
  if (!names.some((name) => taken.has(name))) return model
  return withModel(model, { graph: renameTensors(graph, (name) => (taken.has(name) ? `trunk/${name}` : name)) })
}

/** How well a bundle agrees with trunk and classifier run one after the other. */
export interface BundleCheck {
  readonly images: number
  /** Largest difference of a score, relative where the score is above 1. */
  readonly difference: number
}

const checkedImages = 4
/** The trunk runs in float32 in another graph, so its sums may be rounded otherwise. */
const maxDifference = 1e-4

/** Flat grey, a ramp, and noise: images that any network takes. */
function checkPixels({ width, height }: PixelSize): Uint8Array {
  const size = width * height * 3
  const pixels = new Uint8Array(checkedImages * size)
  const random = createRandom('bundle check')
  for (let i = 0; i < size; i++) {
    pixels[i] = 128
    pixels[size + i] = Math.floor((255 * i) / size)
  }
  for (let i = 2 * size; i < pixels.length; i++) pixels[i] = random.int(256)
  return pixels
}

/**
 * Runs the written file on a batch of images and compares it with trunk and classifier.
 *
 * @throws Fc7Error BUNDLE_DIFFERS, SESSION_FAILED
 */
async function checkBundle(
  path: string,
  trunkPath: string,
  bundle: Bundle,
  classifier: Classifier,
  threads: number,
): Promise<BundleCheck> {
  const { Tensor } = loadOrt()
  const dims = [checkedImages, bundle.height, bundle.width, 3]
  const feeds = { [pixelsName]: new Tensor('uint8', checkPixels(bundle), dims) }
  const run = async (file: string) => {
    const session = await openSession(file, { threads })
    try {
      return await session.run(feeds)
    } finally {
      await closeSession(session)
    }
  }
  const data = (await run(trunkPath))[bundle.embedding]!.data as Float32Array
  const expected = await classifier.predictScores({ data, rows: checkedImages, cols: classifier.info.dim }, { threads })
  const out = await run(path)
  const scores = out[scoresName(classifier.scoreKind)]!.data as Float32Array
  const labels = out[labelName]!.data as unknown as string[]
  let difference = 0
  for (let i = 0; i < expected.length; i++)
    difference = Math.max(difference, Math.abs(scores[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!)))
  const own = predictedClasses(scores, classifier.classes.length)
  const consistent = own.every((c, i) => labels[i] === classifier.classes[c])
  if (!(difference <= maxDifference) || !consistent) {
    throw new Fc7Error(
      'BUNDLE_DIFFERS',
      `The bundle's scores differ from the classifier's by ${difference.toExponential(1)}.`,
      { hint: 'This is a defect of fc7: nothing was written. Please report it with the network and the trainer.' },
    )
  }
  return { images: checkedImages, difference }
}

/**
 * Writes a bundle after it has been run: the file appears under its name only when its scores agree with trunk and
 * classifier.
 *
 * @returns the files written (a second one holds weights beyond 2 GiB), and how well they agree
 */
export async function writeBundle(
  bundle: Bundle,
  classifier: Classifier,
  path: string,
  options: { readonly threads?: number | undefined } = {},
): Promise<{ files: string[]; check: BundleCheck }> {
  const target = resolve(path)
  if ((await stat(target).catch(() => undefined))?.isDirectory()) {
    throw new Fc7Error('USAGE_OUT', `${path} is a folder.`, { hint: 'A bundle is one file, such as photos.onnx.' })
  }
  const folder = temporaryName(target)
  try {
    await mkdir(folder, { recursive: true })
    const trunkPath = join(folder, 'trunk.onnx')
    await writeModel(bundle.trunk, trunkPath)
    const written = await writeModel(bundle.model, join(folder, basename(target)))
    const check = await checkBundle(written[0]!, trunkPath, bundle, classifier, options.threads ?? 1)
    // The data file first: the model is never there without it.
    const files: string[] = []
    for (const file of [...written].reverse()) {
      await rename(file, join(dirname(target), basename(file)))
      files.unshift(join(dirname(path), basename(file)))
    }
    await syncFolder(dirname(target))
    return { files, check }
  } catch (error) {
    throw explainWriteError(error, target)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
