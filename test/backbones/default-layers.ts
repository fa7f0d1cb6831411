import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'
import { efficientNetLite4, mobileNetV2, resnet, shuffleNetV2, vgg } from './topologies.js'

/** Where a card's graph comes from: a file of `../shared/models`, or one written out in topologies.ts. */
export type Graph = { readonly shared: string } | { readonly built: () => ModelProto }

export interface DefaultLayer {
  /** A card's id. */
  readonly card: string
  readonly graph: Graph
  /** The name by which the default layer is shown and stored. */
  readonly layer: string
  /** Values of one embedding. */
  readonly dim: number
}

const light = (name: string): Graph => ({ shared: `topologies/light_${name}.onnx` })
const built = (make: () => ModelProto): Graph => ({ built: make })

/**
 * The default layer of every card, by DESIGN's rule; ZFNet-512's card names fc6 itself, because its fc7 has 1024 values
 * only.
 */
export const defaultLayers: readonly DefaultLayer[] = [
  { card: 'alexnet', graph: light('bvlc_alexnet'), layer: 'fc7', dim: 4096 },
  { card: 'caffenet', graph: light('bvlc_alexnet'), layer: 'fc7', dim: 4096 },
  { card: 'zfnet512', graph: light('zfnet512'), layer: 'fc6', dim: 4096 },
  { card: 'vgg16', graph: built(() => vgg([2, 2, 3, 3, 3], false, 12, 'N')), layer: 'fc7', dim: 4096 },
  { card: 'vgg16-bn', graph: built(() => vgg([2, 2, 3, 3, 3], true, 7, 1)), layer: 'fc7', dim: 4096 },
  { card: 'vgg19', graph: light('vgg19'), layer: 'fc7', dim: 4096 },
  { card: 'googlenet', graph: { shared: 'googlenet-bvlc.onnx' }, layer: 'pool5', dim: 1024 },
  { card: 'inception-v1', graph: light('inception_v1'), layer: 'pool5', dim: 1024 },
  { card: 'inception-v2', graph: light('inception_v2'), layer: 'pool5', dim: 1024 },
  { card: 'resnet18', graph: built(() => resnet([2, 2, 2, 2], false, 7)), layer: 'avg_pool', dim: 512 },
  { card: 'resnet50-v1', graph: built(() => resnet([3, 4, 6, 3], true, 12)), layer: 'avg_pool', dim: 2048 },
  { card: 'resnet50-v1', graph: light('resnet50'), layer: 'avg_pool', dim: 2048 },
  { card: 'densenet121', graph: light('densenet121'), layer: 'avg_pool', dim: 1024 },
  { card: 'squeezenet1.1', graph: { shared: 'squeezenet1.1.onnx' }, layer: 'fire9', dim: 512 },
  { card: 'squeezenet1.1', graph: light('squeezenet'), layer: 'fire9', dim: 512 },
  { card: 'mobilenetv2', graph: built(mobileNetV2), layer: 'avg_pool', dim: 1280 },
  { card: 'shufflenet-v2', graph: built(shuffleNetV2), layer: 'avg_pool', dim: 1024 },
  { card: 'shufflenet-v2', graph: light('shufflenet'), layer: 'avg_pool', dim: 544 },
  { card: 'efficientnet-lite4', graph: built(efficientNetLite4), layer: 'avg_pool', dim: 1280 },
]

/** Keras' ResNet-50 comes from npm; its row is tested where the package is (resnet50.shared.test.ts). */
export const fromNpm: Omit<DefaultLayer, 'graph'> = { card: 'resnet50', layer: 'avg_pool', dim: 2048 }
