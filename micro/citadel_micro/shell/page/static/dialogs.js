// Commands of a person: each is confirmed in a dialog; a kill by typing its word.

import { find, write } from "./panels.js";

const WHAT = {
  pause: ["Pause", "No new risk: entries are canceled and refused, exits go on. Ends with a reset."],
  halt: ["Halt", "Every working order is canceled, and nothing new is sent. Ends with a reset."],
  flatten: ["Flatten", "Pauses, cancels, and closes the positions of this scope, within the gate's limits. The pause ends with a reset."],
  kill: ["Kill", "Every order is canceled, and nothing is sent any more, exits neither. It survives a restart, and takes two resets to end."],
  reset: ["Reset", "Trading goes on in probation: smaller entries until a few orders went well."],
};

export class Dialogs {
  // token: {get, set}; scopes: () => names; done: called with the answer's text
  constructor(token, scopes, done) {
    this.token = token;
    this.scopes = scopes;
    this.done = done;
    this.then = null;
    const [act, ask] = [find("act"), find("ask-token")];
    find("act-cancel").addEventListener("click", () => act.close());
    find("token-cancel").addEventListener("click", () => ask.close());
    act.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    find("act-word").addEventListener("input", () => this.check());
    find("act-reason").addEventListener("input", () => this.check());
    ask.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = find("token-text").value.trim();
      if (!text) return;
      this.token.set(text);
      find("token-text").value = "";
      ask.close();
      if (this.then) this.then();
    });
  }

  askToken(why, then) {
    this.then = then;
    write(find("token-what"), why);
    write(find("token-problem"), "");
    if (!find("ask-token").open) find("ask-token").showModal();
    find("token-text").focus();
  }

  open(action, trip) {
    if (!this.token.get()) {
      this.askToken("Acting needs the token. `citadel page` prints the address that has it.", () => this.open(action, trip));
      return;
    }
    this.action = action;
    this.trip = trip ?? null;
    const [title, what] = WHAT[action];
    write(find("act-title"), title);
    write(find("act-what"), what);
    write(find("act-go"), title);
    write(find("act-problem"), "");
    find("act-go").className = action === "kill" ? "grave" : "";
    find("act-trip-field").hidden = !trip;
    write(find("act-trip"), trip ? `${trip.id}: ${trip.scope} ${trip.code}` : "");
    find("act-scope-field").hidden = Boolean(trip);
    find("act-halt-field").hidden = action !== "flatten";
    find("act-word-field").hidden = action !== "kill";
    find("act-halt").checked = false;
    find("act-word").value = "";
    find("act-reason").value = "";
    find("act-reason").placeholder = action === "reset" ? "why it is safe again" : "kept in the journal";
    const scopes = this.scopes().filter((name) => action !== "flatten" || !name.startsWith("strategy:"));
    find("act-scope").replaceChildren(...scopes.map((name) => new Option(name === "global" ? "everything" : name, name)));
    this.check();
    find("act").showModal();
    (action === "kill" ? find("act-word") : find("act-reason")).focus();
  }

  check() {
    const word = this.action !== "kill" || find("act-word").value.trim().toUpperCase() === "KILL";
    const reason = this.action !== "reset" || find("act-reason").value.trim();
    find("act-go").disabled = !(word && reason);
  }

  async send() {
    if (find("act-go").disabled) return;
    const body = { action: this.action, reason: find("act-reason").value.trim() };
    if (this.trip) body.trip_id = this.trip.id;
    else body.scope = find("act-scope").value;
    if (this.action === "flatten") body.through_halt = find("act-halt").checked;
    if (this.action === "kill") body.confirm = find("act-word").value.trim().toUpperCase();
    find("act-go").disabled = true;
    try {
      const response = await fetch("page/act", {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.token.get()}` },
        body: JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
      });
      const answer = await response.json();
      if (answer.ok) {
        find("act").close();
        this.done(`${WHAT[this.action][0]}: done. Risk state ${answer.risk}.`);
        return;
      }
      if (response.status === 401) {
        find("act").close();
        this.token.set("");
        const { action, trip } = this;
        this.askToken("That token is not this micro's. `citadel page` prints the address that has it.", () => this.open(action, trip));
        return;
      }
      write(find("act-problem"), answer.error);
    } catch (error) {
      write(find("act-problem"), `No answer: it is not known whether that was done (${error.message})`);
    }
    this.check();
  }
}
