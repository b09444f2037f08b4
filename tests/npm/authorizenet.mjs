// Authorize.Net's own SDK as a caller: told {request, body} on a line, it answers what it has read of the answer. The
// address is its argument. Names and places of all elements are the SDK's: its classes are filled, and send themselves.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { APIContracts, APIControllers } = createRequire(import.meta.url)('authorizenet');
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

function call({ request, body }) {
  const typed = new APIContracts[`${request}Request`](body);
  const filled = Object.assign(new APIContracts[`${request}Request`](), typed); // with a place for the SDK's clientId
  const controller = new APIControllers[`${request}Controller`](filled.getJSON());
  controller.setEnvironment(process.argv[2]);
  return new Promise((resolve) => {
    const failed = setInterval(() => {
      if (controller.getError()) {
        clearInterval(failed);
        resolve({ error: String(controller.getError()) });
      }
    }, 50);
    controller.execute(() => {
      clearInterval(failed);
      resolve(new APIContracts[`${request}Response`](controller.getResponse()));
    });
  });
}

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  say(await call(JSON.parse(line)));
}
process.exit(0);
