//! A client's terminal modes (RFC 4254, section 8), as far as Linux has them.

use rustix::termios::{ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex as Code, Termios};

pub(super) fn apply(modes: &[(u8, u32)], termios: &mut Termios) {
    for (opcode, argument) in modes {
        one(*opcode, *argument, termios);
    }
}

fn one(opcode: u8, argument: u32, termios: &mut Termios) {
    if let Some(code) = special(opcode) {
        // 255 says that the client has none.
        termios.special_codes[code] = u8::try_from(argument).ok().filter(|code| *code != 255).unwrap_or(0);
        return;
    }
    let on = argument != 0;
    match opcode {
        30 => termios.input_modes.set(InputModes::IGNPAR, on),
        31 => termios.input_modes.set(InputModes::PARMRK, on),
        32 => termios.input_modes.set(InputModes::INPCK, on),
        33 => termios.input_modes.set(InputModes::ISTRIP, on),
        34 => termios.input_modes.set(InputModes::INLCR, on),
        35 => termios.input_modes.set(InputModes::IGNCR, on),
        36 => termios.input_modes.set(InputModes::ICRNL, on),
        37 => termios.input_modes.set(InputModes::IUCLC, on),
        38 => termios.input_modes.set(InputModes::IXON, on),
        39 => termios.input_modes.set(InputModes::IXANY, on),
        40 => termios.input_modes.set(InputModes::IXOFF, on),
        41 => termios.input_modes.set(InputModes::IMAXBEL, on),
        42 => termios.input_modes.set(InputModes::IUTF8, on),
        50 => termios.local_modes.set(LocalModes::ISIG, on),
        51 => termios.local_modes.set(LocalModes::ICANON, on),
        52 => termios.local_modes.set(LocalModes::XCASE, on),
        53 => termios.local_modes.set(LocalModes::ECHO, on),
        54 => termios.local_modes.set(LocalModes::ECHOE, on),
        55 => termios.local_modes.set(LocalModes::ECHOK, on),
        56 => termios.local_modes.set(LocalModes::ECHONL, on),
        57 => termios.local_modes.set(LocalModes::NOFLSH, on),
        58 => termios.local_modes.set(LocalModes::TOSTOP, on),
        59 => termios.local_modes.set(LocalModes::IEXTEN, on),
        60 => termios.local_modes.set(LocalModes::ECHOCTL, on),
        61 => termios.local_modes.set(LocalModes::ECHOKE, on),
        62 => termios.local_modes.set(LocalModes::PENDIN, on),
        70 => termios.output_modes.set(OutputModes::OPOST, on),
        71 => termios.output_modes.set(OutputModes::OLCUC, on),
        72 => termios.output_modes.set(OutputModes::ONLCR, on),
        73 => termios.output_modes.set(OutputModes::OCRNL, on),
        74 => termios.output_modes.set(OutputModes::ONOCR, on),
        75 => termios.output_modes.set(OutputModes::ONLRET, on),
        92 => termios.control_modes.set(ControlModes::PARENB, on),
        93 => termios.control_modes.set(ControlModes::PARODD, on),
        // Character size, speeds and what Linux does not have: a pseudo-terminal does not care.
        _other => {}
    }
}

fn special(opcode: u8) -> Option<Code> {
    Some(match opcode {
        1 => Code::VINTR,
        2 => Code::VQUIT,
        3 => Code::VERASE,
        4 => Code::VKILL,
        5 => Code::VEOF,
        6 => Code::VEOL,
        7 => Code::VEOL2,
        8 => Code::VSTART,
        9 => Code::VSTOP,
        10 => Code::VSUSP,
        12 => Code::VREPRINT,
        13 => Code::VWERASE,
        14 => Code::VLNEXT,
        18 => Code::VDISCARD,
        _other => return None,
    })
}
