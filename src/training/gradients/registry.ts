import type { GradientRule } from './contract.js'
import {
  clipRule,
  expRule,
  hardSigmoidRule,
  hardSwishRule,
  leakyReluRule,
  reluRule,
  sigmoidRule,
  sqrtRule,
  tanhRule,
} from './rules/activations.js'
import { batchNormalizationRule } from './rules/batch-normalization.js'
import { convRule } from './rules/conv.js'
import { dropoutRule } from './rules/dropout.js'
import { addRule, divRule, mulRule, subRule, sumRule } from './rules/elementwise.js'
import { gemmRule } from './rules/gemm.js'
import {
  concatRule,
  flattenRule,
  identityRule,
  padRule,
  reduceMeanRule,
  reshapeRule,
  splitRule,
  squeezeRule,
  transposeRule,
  unsqueezeRule,
} from './rules/layout.js'
import { lrnRule } from './rules/lrn.js'
import { matMulRule } from './rules/matmul.js'
import { averagePoolRule, globalAveragePoolRule, maxPoolRule } from './rules/pooling.js'
import { logSoftmaxRule, softmaxRule } from './rules/softmax.js'

const rules: readonly GradientRule[] = [
  addRule,
  averagePoolRule,
  batchNormalizationRule,
  clipRule,
  concatRule,
  convRule,
  divRule,
  dropoutRule,
  expRule,
  flattenRule,
  gemmRule,
  globalAveragePoolRule,
  hardSigmoidRule,
  hardSwishRule,
  identityRule,
  leakyReluRule,
  logSoftmaxRule,
  lrnRule,
  matMulRule,
  maxPoolRule,
  mulRule,
  padRule,
  reduceMeanRule,
  reluRule,
  reshapeRule,
  sigmoidRule,
  softmaxRule,
  splitRule,
  sqrtRule,
  squeezeRule,
  subRule,
  sumRule,
  tanhRule,
  transposeRule,
  unsqueezeRule,
]

/** Every gradient rule by op type. */
export const gradientRules: ReadonlyMap<string, GradientRule> = new Map(rules.map((rule) => [rule.op, rule]))
