/* Search in a site that was opened from a folder. Browsers start no workers there, so the worker's
 * script runs in a hidden frame instead. On a server nothing changes.
 */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.answer = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        this.onmessage?.(event);
      };
      const page = inside.document;
      page.open();
      page.write(
        `<script>
          postMessage = answer;
          importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
            const script = document.createElement("script");
            script.src = url;
            script.onload = done;
            document.body.append(script);
          })), Promise.resolve());
        </script><body><script src="${url}"></script></body>`
      );
      page.close();
      inside.addEventListener("load", () => {
        this.ready = true;
        this.waiting.forEach((data) => this.postMessage(data));
      });
    }

    postMessage(data) {
      if (this.ready) this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
      else this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
