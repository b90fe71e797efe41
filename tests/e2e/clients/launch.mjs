// What a page does with @jupyterhub/binderhub-client: follow a launch to its end, then ask where in the server to go.

import { BinderRepository } from "@jupyterhub/binderhub-client/client.js";
import { LaunchSpec } from "@jupyterhub/binderhub-client/spec.js";

/** The events of launching `spec` at `hub`, and where a link with `query` leads after them. */
export async function launch(hub, spec, query) {
  const repository = new BinderRepository(spec, new URL("build/", hub));
  const events = [];
  for await (const event of repository.fetch()) {
    events.push(event);
    if (["ready", "failed"].includes(event.phase)) break;
  }
  repository.close();
  const { phase, url, token } = events.at(-1);
  const link = LaunchSpec.fromSearchParams(new URLSearchParams(query));
  const address = phase === "ready" ? link.getJupyterServerRedirectUrl(new URL(url), token).toString() : "";
  return { events, address };
}
