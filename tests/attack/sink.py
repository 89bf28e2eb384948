"""A process that takes connections and throws away what comes; its first line is its port."""

import select
import socket

BACKLOG = 1024


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    print(listener.getsockname()[1], flush=True)
    poll, clients = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                client, _ = listener.accept()
                client.setblocking(False)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
                continue
            try:
                came = clients[descriptor].recv(1 << 13)
            except BlockingIOError:
                continue
            except OSError:
                came = b""
            if not came:
                poll.unregister(descriptor)
                clients.pop(descriptor).close()


if __name__ == "__main__":
    main()
