import { expect, test } from 'vitest'
import { groupStack, parseStack } from './stack'

const shape = (stack: string) => parseStack(stack).map((l) => `${l.kind}${l.library ? ' library' : ''}`)
const folds = (stack: string) =>
  groupStack(parseStack(stack)).map((g) => (g.folded ? `(${g.lines.length})` : g.lines.map((l) => l.text.trim())))

test('Java, with a cause', () => {
  const stack = `shop.PaymentException: payment could not finish Charge
\tat shop.payment.Charge.run(Charge.java:88)
\tat java.base/java.util.concurrent.FutureTask.run(FutureTask.java:264)
\tat org.springframework.web.Filter.doFilter(Filter.java:12)
\tat app//shop.payment.Server.main(Server.java:17)
Caused by: java.net.SocketTimeoutException: Read timed out
\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)
\t... 12 more`
  expect(shape(stack)).toEqual(['text', 'frame', 'frame library', 'frame library', 'frame', 'cause', 'frame library', 'frame library'])
  expect(folds(stack)).toEqual([
    ['shop.PaymentException: payment could not finish Charge', 'at shop.payment.Charge.run(Charge.java:88)'],
    '(2)',
    ['at app//shop.payment.Server.main(Server.java:17)', 'Caused by: java.net.SocketTimeoutException: Read timed out'],
    '(2)',
  ])
})

test('Go', () => {
  const stack = `goroutine 17 [running]:
runtime/debug.Stack()
\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
bank.(*Client).do(0xc000112000)
\t/src/bank/client.go:212 +0x1d
github.com/go-chi/chi/v5.(*Mux).ServeHTTP(0xc0)
\t/go/pkg/mod/github.com/go-chi/chi/v5@v5.0.1/mux.go:87 +0x2a
created by main.main in goroutine 1
\t/src/main.go:12 +0x99`
  expect(shape(stack)).toEqual([
    'text',
    'frame library',
    'frame library',
    'frame',
    'frame',
    'frame library',
    'frame library',
    'frame',
    'frame',
  ])
  expect(folds(stack)[1]).toBe('(2)')
})

test('Python, with the line of code below each place', () => {
  const stack = `Traceback (most recent call last):
  File "/usr/lib/python3.12/site-packages/flask/app.py", line 1473, in wsgi_app
    response = self.full_dispatch_request()
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/pay.py", line 88, in charge
    bank.do(card)
TimeoutError: bank did not answer

During handling of the above exception, another exception occurred:

  File "/srv/shop/main.py", line 3, in <module>
ValueError: no`
  expect(shape(stack)).toEqual([
    'text',
    'frame library',
    'frame library',
    'frame library',
    'frame',
    'frame',
    'text',
    'text',
    'cause',
    'text',
    'frame',
    'text',
  ])
})

test('Node.js', () => {
  const stack = `Error: bank did not answer
    at Client.do (/srv/shop/bank.js:212:11)
    at async charge (file:///srv/shop/charge.mjs:8:3)
    at Layer.handle (/srv/shop/node_modules/express/lib/router/layer.js:95:5)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
    at /srv/shop/main.js:1:1`
  expect(shape(stack)).toEqual(['text', 'frame', 'frame', 'frame library', 'frame library', 'frame'])
})

test('.NET', () => {
  const stack = `Shop.PaymentException: could not finish
 ---> System.TimeoutException: The operation has timed out.
   at System.Threading.Tasks.Task.ThrowIfExceptional(Boolean includeTaskCanceledExceptions)
   at Bank.Client.Do(String card) in /src/Bank/Client.cs:line 212
   at Microsoft.AspNetCore.Routing.EndpointMiddleware.Invoke(HttpContext httpContext)
   --- End of inner exception stack trace ---
   at Shop.Payment.Charge() in C:\\src\\Payment.cs:line 88`
  expect(shape(stack)).toEqual(['text', 'cause', 'frame library', 'frame', 'frame library', 'text', 'frame'])
})

test('lines of what is not known stay as they are, and a stack of libraries only is not folded', () => {
  const stack = 'something\n  went wrong\n\nhere'
  expect(parseStack(`${stack}\r\n`).map((l) => l.text)).toEqual(stack.split('\n'))
  expect(folds('E: x\n\tat java.lang.A.b(A.java:1)\n\tat java.lang.A.c(A.java:2)')).toHaveLength(1)
})
