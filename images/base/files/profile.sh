# Interactive shells of Berth's base image: a UTF-8 locale, an editor, and a prompt that names the container.
export LANG="${LANG:-C.UTF-8}" EDITOR="${EDITOR:-nano}" PAGER="${PAGER:-less}"
if [ -n "${BASH_VERSION-}" ] && [ -n "${PS1-}" ]; then
    PS1='\u@\h:\w\$ '
    alias ls='ls --color=auto' grep='grep --color=auto'
fi
