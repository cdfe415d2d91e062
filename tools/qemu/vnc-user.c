// SPDX-License-Identifier: MIT
/*
 * A user of a compositor that has no devices: a client of its VNC server that does what
 * it is told on its standard input.
 *
 *   pointer X Y BUTTONS	a bit for each: left, middle, right, and the wheel up, down
 *   key KEYSYM 0|1		of X11, by number; released or pressed
 *   picture FILE		what is shown, red, green, blue and nothing of each pixel
 */
#include <poll.h>
#include <rfb/rfbclient.h>

static rfbCredential *get_credential(rfbClient *client, int type)
{
	rfbCredential *credential = calloc(1, sizeof(*credential));

	if (!credential || type != rfbCredentialTypeUser)
		exit(1);
	credential->userCredential.username = strdup("root");
	credential->userCredential.password = strdup("");
	return credential;
}

static rfbBool write_picture(rfbClient *client, const char *path)
{
	FILE *file = fopen(path, "w");
	size_t size = (size_t)client->width * client->height * 4;

	if (!file || fwrite(client->frameBuffer, 1, size, file) != size || fclose(file)) {
		perror(path);
		return FALSE;
	}
	puts("picture");
	return TRUE;
}

static rfbBool obey(rfbClient *client, const char *line)
{
	int x, y, buttons, key, down;
	char path[80];

	if (sscanf(line, "picture %79s", path) == 1)
		return write_picture(client, path);
	if (sscanf(line, "pointer %i %i %i", &x, &y, &buttons) == 3)
		return SendPointerEvent(client, x, y, buttons);
	if (sscanf(line, "key %i %i", &key, &down) == 2)
		return SendKeyEvent(client, key, down);
	fprintf(stderr, "vnc-user: what is %s", line);
	return FALSE;
}

int main(int argc, char **argv)
{
	rfbClient *client = rfbGetClient(8, 3, 4);
	struct pollfd fds[2];
	char line[80];

	if (argc != 2) {
		fputs("usage: vnc-user PORT\n", stderr);
		return 1;
	}
	client->serverHost = strdup("127.0.0.1");
	client->serverPort = atoi(argv[1]);
	client->GetCredential = get_credential;
	client->appData.encodingsString = "raw";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!rfbInitClient(client, NULL, NULL))
		return 1;
	puts("connected");
	setvbuf(stdin, NULL, _IONBF, 0);
	fds[0] = (struct pollfd) { .fd = STDIN_FILENO, .events = POLLIN };
	fds[1] = (struct pollfd) { .fd = client->sock, .events = POLLIN };
	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents && !fgets(line, sizeof(line), stdin))
			return 0;
		if (fds[0].revents && !obey(client, line))
			return 1;
		if (fds[1].revents && !HandleRFBServerMessage(client))
			return 1;
	}
	return 1;
}
