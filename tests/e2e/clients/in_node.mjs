// `launch` as a command: node in_node.mjs <hub> <spec> <query>

import { launch } from "./launch.mjs";

// The client is made for pages: it looks for the standard functions in a window, and looks at the document.
globalThis.window = globalThis;
globalThis.document = { cookie: "", removeEventListener() {} };
// It drops a connection by an error that nobody catches, which a page would only mention in its console.
process.on("unhandledRejection", (error) => console.error(error));
console.log(JSON.stringify(await launch(...process.argv.slice(2))));
