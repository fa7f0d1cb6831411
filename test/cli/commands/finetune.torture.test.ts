import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, readdir, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from '@jest/globals'
import { snippets } from '../../support/docs.js'
import { errorLines, fc7 } from '../run.js'
import { openTuneFolder } from '../tune-folder.js'

const { root, env, file, base } = await openTuneFolder()
afterAll(() => rm(root, { recursive: true, force: true }))

const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'))

// Half a minute each: most of it is the start of Node, a dozen times.

describe('killed in the middle of an epoch', () => {
  // Everything that carries a state or draws numbers; an epoch is 31 steps of one image.
  const args = (out: string): string[] => [
    ...base(),
    ...'--strategy last --freeze-until relu1 --no-cache-frozen --batch-size 1 --grad-accum-steps 2 --epochs 3 --patience 9'.split(
      ' ',
    ),
    ...'--dropout 0.3 --mixup 0.4 --random-erasing 0.5 --optimizer adamw --lr 0.001 --threads 1 --json --out'.split(
      ' ',
    ),
    file(out),
  ]

  /** Runs until a checkpoint inside of `epoch` is there, then ends the process as a power cut does. */
  async function killed(out: string, epoch: number) {
    const bin = fileURLToPath(new URL('../../../bin/fc7.js', import.meta.url))
    const child = spawn(process.execPath, [bin, ...args(out), '--checkpoint-steps', '2'], {
      env: { ...process.env, ...env, FC7_OFFLINE: '1' },
      stdio: 'ignore',
    })
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('exit', (_code, signal) => resolve(signal)))
    const path = file(out, 'work', 'state.json')
    while (child.exitCode === null) {
      const state = await json(path).catch(() => undefined)
      if (state && state.epoch >= epoch && state.step > 0) break
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    child.kill('SIGKILL')
    expect(await ended).toBe('SIGKILL')
    const { epoch: at, step } = await json(path)
    expect(step).toBeGreaterThan(0)
    expect(at).toBe(epoch)
  }

  it('and started again, twice: every byte that is left is the same', async () => {
    const whole = await fc7(args('whole'), { env })
    expect([whole.code, whole.stderr]).toEqual([0, expect.stringContaining('last on')])
    await killed('cut', 0)
    // As far as it went, its curves can be looked at.
    expect((await fc7(['report', file('cut')], { env })).code).toBe(0)
    expect(await readFile(file('cut', 'curves.html'), 'utf8')).toContain('Not finished')
    await killed('cut', 1)
    const resumed = await fc7(args('cut'), { env })
    expect(resumed.code).toBe(0)
    const bytes = async (...path: string[]) =>
      createHash('sha256')
        .update(await readFile(file(...path)))
        .digest('hex')
    expect(await bytes('cut', 'model.onnx')).toBe(await bytes('whole', 'model.onnx'))
    const told = async (out: string) => {
      const { best, history, report, predictions } = await json(file(out, 'finetune.json'))
      // Speed is a fact of the run.
      return { best, report, predictions, history: history.map((epoch: object) => ({ ...epoch, imagesPerSecond: 0 })) }
    }
    expect(await told('cut')).toEqual(await told('whole'))
    const log = (await readFile(file('cut', 'log.jsonl'), 'utf8')).trim().split('\n')
    const events = log.map((line) => JSON.parse(line)).flatMap(({ event }) => event ?? [])
    expect(events).toEqual(['started', 'resumed', 'resumed', 'finished'])
    expect((await readdir(file('cut'))).filter((name) => name.endsWith('.tmp') || name === 'work')).toEqual([])
  }, 120_000)
})

describe('a tuned network', () => {
  const run = async (command: string) => {
    const args = command
      .replace(/#.*/, '')
      .trim()
      .split(/\s+/)
      .slice(1)
      .flatMap((word) => (word === 'resnet50' ? ['tiny.onnx', '--recipe', 'torchvision'] : [word]))
    const outcome = await fc7([...args, '--json'], { env, cwd: root })
    expect([command, outcome.code, outcome.stderr.split('\n').filter((line) => line.startsWith('fc7: '))]).toEqual([
      command,
      0,
      [],
    ])
    return JSON.parse(outcome.stdout)
  }

  it('is what predict, extract, compare and report take, as docs/finetune.md says', async () => {
    await cp(file('photos', 'test'), file('new'), { recursive: true })
    const lines = snippets('finetune.md', 'sh')[0]!.trim().split('\n')
    const [planned, tuned] = await Promise.all([run(lines[0]!), run(lines[1]!)])
    const [predicted, extracted, models, curves] = await Promise.all([
      run(`${lines[2]} --top 3`),
      run(lines[3]!),
      run('fc7 models list'),
      run('fc7 report photos-resnet'),
      run('fc7 extract photos/ --model resnet50 --out photos-frozen.fc7'),
    ])
    expect(lines).toHaveLength(4)
    expect(planned.plan.phases).toMatchObject([{ name: 'last', frozenLayers: 'cached' }])
    expect(tuned).toMatchObject({ id: 'photos-resnet', known: true, reported: 15 })
    // The classifier on the tuned network, from files, says what was said when training ended.
    const { predictions, report } = await json(file('photos-resnet', 'finetune.json'))
    const names = ['blue', 'green', 'red']
    const count = (truth: string, said: string) =>
      predictions.filter((row: { label: string; predicted: string }) => row.label === truth && row.predicted === said)
        .length
    expect(report.confusion).toEqual(names.map((truth) => names.map((said) => count(truth, said))))
    expect(tuned.correct).toBe(names.reduce((sum, name) => sum + count(name, name), 0))
    expect(predicted.accuracy).toBeCloseTo(tuned.accuracy, 10)
    for (const { id, predicted: label, scores } of predictions) {
      const own = predicted.predictions.find(({ path }: { path: string }) => `test/${path}` === id)
      expect([id, own.predicted]).toEqual([id, label])
      for (const { label: one, score } of own.top) expect(score).toBeCloseTo(scores[names.indexOf(one)], 4)
    }
    expect(extracted).toMatchObject({ rows: 51, failures: 0 })
    expect(JSON.stringify(models)).toContain('photos-resnet')
    expect(await readFile(file(curves.html), 'utf8')).toContain('Fine-tuning')
    // Tuned and frozen features meet the same classifiers. What the network was trained on is no test image.
    const [again] = await Promise.all([
      fc7(['compare', 'photos-tuned.fc7', '--protocol', 'kfold', '--trainers', 'knn', '--out', 'again'], {
        env,
        cwd: root,
      }),
      run('fc7 compare photos-tuned.fc7 photos-frozen.fc7 --trainers logistic,knn --out both'),
    ])
    expect([again.code, errorLines(again)[0]]).toEqual([
      1,
      expect.stringContaining('was fine-tuned on 36 of the test images'),
    ])
    await run('fc7 report both')
    expect(await readFile(file('both', 'report.html'), 'utf8')).toContain('photos-resnet')
  }, 120_000)
})
