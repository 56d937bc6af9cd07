echo "24940cf2c371: running"
folder="$HOME/.vscode-server"
umask 077
mkdir -p "$folder" || exit 202
cd "$folder" || exit 205
if [ -f server.pid ] && kill -0 "$(cat server.pid)" 2>/dev/null; then
    echo "Found running server..."
else
    cat > literal <<'END'
$HOME `stays`
END
    if [ ! -x cli ]; then
        echo "24940cf2c371:trigger_server_download"
        echo "destFolder==$folder=="
        echo "24940cf2c371:trigger_server_download_end"
        until [ -f cli.done ]; do sleep 0.1; done
        chmod +x cli || exit 204
    fi
    nohup ./cli 0 > log.txt 2>&1 < /dev/null &
    echo $! > server.pid
    setsid ./cli "$folder/server.sock" > /dev/null 2>&1 < /dev/null &
    echo $! > socket.pid
    until grep -q "listening on" log.txt && [ -S server.sock ]; do sleep 0.1; done
fi
echo "24940cf2c371: start"
echo "SSH_AUTH_SOCK==$SSH_AUTH_SOCK=="
echo "platform==$(uname -s)=="
echo "arch==$(uname -m)=="
echo "literal==$(cat literal)=="
echo "pid==$(cat server.pid)=="
echo "socket==$folder/server.sock=="
echo "listeningOn==$(sed -n 's/.*listening on //p' log.txt)=="
echo "exitCode==0=="
echo "24940cf2c371: end"
