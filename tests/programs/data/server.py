"""Serves files on a port of loopback, and over TLS on the next: server.py PORT DIRECTORY."""
import http.server
import ssl
import sys
import threading


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=sys.argv[2])

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/redirect/"):
            left = int(self.path.rsplit("/", 1)[1])
            self.send_response(302)
            self.send_header("Location", f"/redirect/{left - 1}" if left else "/30")
            self.send_header("Set-Cookie", f"left={left}; Path=/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    def take(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = take


port = int(sys.argv[1])
plain = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
secure = http.server.ThreadingHTTPServer(("127.0.0.1", port + 1), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=secure.serve_forever, daemon=True).start()
plain.serve_forever()
