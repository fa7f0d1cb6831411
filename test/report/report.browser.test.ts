import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Browser, Page } from 'playwright-core'
import { writeReport } from '../../src/report/report.js'
import { fc7 } from '../cli/run.js'
import { madeInput } from '../fixtures/report/made.js'
import { tinyModel, writeTinyImages } from '../support/tiny.js'
import { bodyContrast, openReport, shot, startBrowser } from './browser.js'

let browser: Browser
let root: string
beforeAll(async () => {
  browser = await startBrowser()
  root = await mkdtemp(join(tmpdir(), 'fc7-report-'))
})
afterAll(async () => {
  await browser?.close()
  await rm(root, { recursive: true, force: true })
})

/** Chooses a cell of the first trainer's matrix with the keyboard; says how many images it promised and showed. */
async function openCell(page: Page, selector: string): Promise<{ promised: number; shown: number; painted: number }> {
  const cell = page.locator(`#trainer-1 ${selector}`).first()
  const promised = Number(await cell.textContent())
  await cell.focus()
  await page.keyboard.press('Enter')
  const images = page.locator('#trainer-1 .behind .pic')
  const painted = await page
    .locator('#trainer-1 .behind .pic.sheet, #trainer-1 .behind .pic[style*="data:image"]')
    .count()
  return { promised, shown: await images.count(), painted }
}

async function narrowWidth(page: Page): Promise<number> {
  await page.setViewportSize({ width: 390, height: 800 })
  return (await page.evaluate('document.documentElement.scrollWidth')) as number
}

describe('the report in a browser', () => {
  it('made input with hostile names: text stays text; cells, map, dark mode, phone and print work', async () => {
    const { html } = await writeReport(await madeInput({ rows: 140 }), join(root, 'made.html'))
    const { page, troubles, requests } = await openReport(browser, html)
    expect(await page.locator('.chart path').count()).toBeGreaterThan(20)
    const { promised, shown } = await openCell(page, 'button.cell.ok')
    expect(shown).toBe(Math.min(18, promised))
    await page.keyboard.press('Escape')
    expect(await page.locator('#trainer-1 .behind .pic').count()).toBe(0)
    expect(await page.evaluate('window.hacked')).toBeUndefined()
    expect(await page.evaluate('Object.keys(Object.prototype).length')).toBe(0)
    expect(await page.locator('#trainer-1 th[scope=row]').nth(2).textContent()).toBe('__proto__')
    await shot(page, 'made-light')
    expect(await bodyContrast(page)).toBeGreaterThan(7)
    const paper = (): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const light = await paper()
    await page.emulateMedia({ colorScheme: 'dark' })
    expect(await paper()).not.toBe(light)
    expect(await bodyContrast(page)).toBeGreaterThan(7)
    await shot(page, 'made-dark')
    // A reader may overrule the system.
    await page.locator('#theme').click()
    expect(await paper()).toBe(light)
    await page.locator('#map canvas').focus()
    await page.keyboard.press('ArrowRight')
    expect(await page.locator('.maptip .pic').count()).toBe(1)
    expect(await narrowWidth(page)).toBeLessThanOrEqual(390)
    await shot(page, 'made-narrow')
    expect([troubles, requests]).toEqual([[], []])
    await page.close()
  })

  it('a real comparison through the built command', async () => {
    const env = { FC7_CACHE: join(root, 'cache') }
    const store = join(root, 'store')
    const evaluation = join(root, 'evaluation')
    await writeFile(join(root, 'tiny.onnx'), tinyModel())
    await writeTinyImages(join(root, 'photos'), { train: 12, test: 12 })
    const model = ['--model', join(root, 'tiny.onnx'), '--recipe', 'torchvision']
    const run = async (...args: string[]) => {
      const done = await fc7(args, { env })
      expect([done.code, done.stderr]).toEqual([0, expect.any(String)])
      return done
    }
    await run('extract', join(root, 'photos'), ...model, '--out', store)
    await run('compare', store, '--trainers', 'logistic,knn', '--curve', '--out', evaluation)
    const written = JSON.parse((await run('report', evaluation, '--json')).stdout) as { html: string; json: string }
    expect((await stat(written.html)).size).toBeLessThan(5_000_000)
    const { page, troubles, requests } = await openReport(browser, written.html)
    expect(await page.locator('h1').count()).toBe(1)
    expect(await page.locator('.chart path').count()).toBeGreaterThan(20)
    const { promised, shown, painted } = await openCell(page, 'button.cell')
    expect([shown, painted]).toEqual([Math.min(18, promised), Math.min(18, promised)])
    // The images themselves are still where the store was made from.
    expect(await page.locator('#trainer-1 .behind .pic[style*="data:image/webp"]').count()).toBe(shown)
    expect(await narrowWidth(page)).toBeLessThanOrEqual(390)
    // Everything folded away is printed.
    await page.setViewportSize({ width: 1200, height: 900 })
    const pdf = await page.pdf({ format: 'A4' })
    expect(pdf.length).toBeGreaterThan(20_000)
    expect([troubles, requests]).toEqual([[], []])
    await page.close()
  })
})
