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
} from './activations.js'
import { batchNormalizationRule } from './batch-normalization.js'
import type { GradientRule } from './contract.js'
import { convRule } from './conv.js'
import { dropoutRule } from './dropout.js'
import { addRule, divRule, mulRule, subRule, sumRule } from './elementwise.js'
import { gemmRule } from './gemm.js'
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
} from './layout.js'
import { lrnRule } from './lrn.js'
import { matMulRule } from './matmul.js'
import { averagePoolRule, globalAveragePoolRule, maxPoolRule } from './pooling.js'
import { logSoftmaxRule, softmaxRule } from './softmax.js'

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
