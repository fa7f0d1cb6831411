import { createRandom, type Random } from '../../base/random.js'

/**
 * Which part of the image a view shows.
 * - `recipe`: the recipe's own resize, its crop moved to (u, v): 0.5, 0.5 is the centre, 0, 0 the top left corner.
 * - `part`: the middle of the recipe, applied to a part with `area` of the image's area and its proportions, at (u, v).
 * - `resized`: a part with `area` and `aspect` (width / height), squashed to the recipe's size: RandomResizedCrop.
 */
export type ViewCrop =
  | { readonly kind: 'recipe'; readonly u: number; readonly v: number }
  | { readonly kind: 'part'; readonly area: number; readonly u: number; readonly v: number }
  | { readonly kind: 'resized'; readonly area: number; readonly aspect: number; readonly u: number; readonly v: number }

/** Everything random about one view of one image, as plain data that fits any size of image. */
export interface AugmentationPlan {
  readonly crop: ViewCrop
  readonly flip: boolean
  /** Counter-clockwise, about the centre. */
  readonly rotationDegrees: number
  /** Factors, 1 leaves the image as it is. */
  readonly brightness: number
  readonly contrast: number
  readonly saturation: number
  /** Turn of the colour circle in degrees. */
  readonly hueDegrees: number
  readonly grayscale: boolean
  /** A rectangle in fractions of the output, painted over with one colour. */
  readonly erase: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
    readonly colour: readonly [number, number, number]
  } | null
}

export interface AugmentationSettings {
  /** Share of the image's area that a crop keeps, and its proportions; null keeps the recipe's own crop. */
  readonly crop: { readonly area: readonly [number, number]; readonly aspect: readonly [number, number] } | null
  /** Probability of a mirror image. */
  readonly flip: number
  /** Largest turn either way. */
  readonly rotationDegrees: number
  /** Largest change of the factor either way: 0.2 draws from 0.8 to 1.2. */
  readonly brightness: number
  readonly contrast: number
  readonly saturation: number
  readonly hueDegrees: number
  /** Probability of a grayscale image. */
  readonly grayscale: number
  /** Probability of an erased rectangle of 2–20 % of the area. */
  readonly randomErasing: number
}

/** What fine-tuning uses unless asked otherwise: mild, for data sets of hundreds of images. */
export const defaultAugmentation: AugmentationSettings = {
  crop: { area: [0.35, 1], aspect: [3 / 4, 4 / 3] },
  flip: 0.5,
  rotationDegrees: 0,
  brightness: 0.2,
  contrast: 0.2,
  saturation: 0.2,
  hueDegrees: 0,
  grayscale: 0,
  randomErasing: 0,
}

const plain: AugmentationPlan = {
  crop: { kind: 'recipe', u: 0.5, v: 0.5 },
  flip: false,
  rotationDegrees: 0,
  brightness: 1,
  contrast: 1,
  saturation: 1,
  hueDegrees: 0,
  grayscale: false,
  erase: null,
}

const between = (random: Random, low: number, high: number): number => low + (high - low) * random.next()

function drawErase(random: Random): AugmentationPlan['erase'] {
  const area = between(random, 0.02, 0.2)
  const aspect = Math.exp(between(random, Math.log(0.3), Math.log(1 / 0.3)))
  const w = Math.min(1, Math.sqrt(area * aspect))
  const h = Math.min(1, Math.sqrt(area / aspect))
  const x = random.next() * (1 - w)
  const y = random.next() * (1 - h)
  return { x, y, w, h, colour: [random.int(256), random.int(256), random.int(256)] }
}

/**
 * Draws the view of image `id` in `epoch`: a pure function of its arguments, whatever was drawn before. Every number is
 * drawn whether it is used or not, so that changing one setting leaves the others' draws alone.
 *
 * @example planAugmentation(42, 0, 'cat.jpg', defaultAugmentation).flip // the same at every call
 */
export function planAugmentation(
  seed: number | string,
  epoch: number,
  id: string,
  settings: AugmentationSettings = defaultAugmentation,
): AugmentationPlan {
  const random = createRandom(seed).fork('augment').fork(epoch).fork(id)
  const [u, v, a, r] = [random.next(), random.next(), random.next(), random.next()]
  const flip = random.next() < settings.flip
  const rotationDegrees = between(random, -1, 1) * settings.rotationDegrees
  const brightness = 1 + between(random, -1, 1) * settings.brightness
  const contrast = 1 + between(random, -1, 1) * settings.contrast
  const saturation = 1 + between(random, -1, 1) * settings.saturation
  const hueDegrees = between(random, -1, 1) * settings.hueDegrees
  const grayscale = random.next() < settings.grayscale
  const erased = random.next() < settings.randomErasing
  const rectangle = drawErase(random)
  let crop: ViewCrop = plain.crop
  if (settings.crop) {
    const { area, aspect } = settings.crop
    const [low, high] = [Math.log(aspect[0]), Math.log(aspect[1])]
    crop = { kind: 'resized', area: area[0] + (area[1] - area[0]) * a, aspect: Math.exp(low + (high - low) * r), u, v }
  }
  return {
    crop,
    flip,
    rotationDegrees,
    brightness,
    contrast,
    saturation,
    hueDegrees,
    grayscale,
    erase: erased ? rectangle : null,
  }
}

/**
 * The `k` training views of one image for embeddings: view 0 is the image by its recipe, the others are seeded crops
 * (half of the area or more) and mirror images.
 */
export function planViews(seed: number | string, id: string, k: number): AugmentationPlan[] {
  const settings: AugmentationSettings = {
    ...defaultAugmentation,
    crop: { area: [0.5, 1], aspect: [3 / 4, 4 / 3] },
    brightness: 0,
    contrast: 0,
    saturation: 0,
  }
  return Array.from({ length: k }, (_, view) => (view === 0 ? plain : planAugmentation(seed, view, id, settings)))
}

const corners = [
  [0.5, 0.5],
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
] as const

/** Test-time ten-crop (Krizhevsky 2012): centre and four corners of the resized image, and their mirror images. */
export function tenCropViews(): AugmentationPlan[] {
  return [false, true].flatMap((flip) =>
    corners.map(([u, v]) => ({ ...plain, flip, crop: { kind: 'recipe' as const, u, v } })),
  )
}

/**
 * The 16 views of Razavian et al. 2014 ("CNN features off-the-shelf"): the image, five crops with 4/9 of its area, two
 * rotations by 30 degrees, and their mirror images.
 */
export function sixteenViews(): AugmentationPlan[] {
  return [false, true].flatMap((flip) => [
    { ...plain, flip },
    ...corners.map(([u, v]) => ({ ...plain, flip, crop: { kind: 'part' as const, area: 4 / 9, u, v } })),
    { ...plain, flip, rotationDegrees: -30 },
    { ...plain, flip, rotationDegrees: 30 },
  ])
}

/** Names of the test-time views whose embeddings are averaged. */
export const testViewNames = ['ten-crop', 'razavian16'] as const

export type TestViews = (typeof testViewNames)[number]

/** The views of a name, the same for every image. */
export const testViewPlans = (name: TestViews): AugmentationPlan[] =>
  name === 'ten-crop' ? tenCropViews() : sixteenViews()
