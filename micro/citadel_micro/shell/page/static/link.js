// The connection to micro. It comes back by itself, and is told everything anew when it does, so that
// nothing on the screen is older than the connection. A frame that is missing is asked for.

const SILENT_MS = 3500; // micro sends something every second
const FIRST_MS = 400;
const LONGEST_MS = 8000;

export class Link {
  constructor(url, token, heard) {
    this.url = url;
    this.token = token;
    this.heard = heard; // {frame, up, down, refused}
    this.socket = null;
    this.wait = FIRST_MS;
    this.last = 0; // number of the last frame
    this.books = [];
    this.orders = [];
    this.timer = 0;
    this.refused = false;
    addEventListener("online", () => this.connect());
    this.connect();
  }

  connect() {
    if (this.socket) return;
    clearTimeout(this.timer);
    this.refused = false;
    this.last = 0;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => this.send({ token: this.token(), books: this.books, orders: this.orders });
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.alive();
      this.take(JSON.parse(event.data));
    };
    socket.onclose = () => this.lose(socket);
    this.alive();
  }

  take(frame) {
    if (frame.refused) {
      this.refused = true;
      this.heard.refused();
    } else if ("may_act" in frame) {
      this.heard.up(frame.may_act);
    } else if (frame.starting) {
      this.heard.frame(frame);
    } else {
      this.wait = FIRST_MS;
      if (!frame.whole && frame.n !== this.last + 1) this.send({ whole: true });
      this.last = frame.n;
      this.heard.frame(frame);
    }
  }

  alive() {
    clearTimeout(this.silence);
    const socket = this.socket;
    this.silence = setTimeout(() => this.lose(socket), SILENT_MS);
  }

  lose(socket) {
    if (socket !== this.socket || !socket) return;
    this.socket = null;
    clearTimeout(this.silence);
    socket.close();
    this.heard.down();
    if (this.refused) return; // until a token is given
    this.timer = setTimeout(() => this.connect(), this.wait * (0.7 + 0.6 * Math.random()));
    this.wait = Math.min(LONGEST_MS, this.wait * 1.8);
  }

  again() {
    const old = this.socket;
    this.socket = null;
    if (old) old.close();
    this.connect();
  }

  watch(books, orders) {
    if (books.join() === this.books.join() && orders.join() === this.orders.join()) return;
    this.books = books;
    this.orders = orders;
    this.send({ books, orders });
  }

  send(message) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
