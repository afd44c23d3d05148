//! The highest rate at which the lag stays flat.

use crate::ingest::{Common, run};

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// First rate to try, in samples per second; doubled while the lag stays flat
    #[arg(long, default_value_t = 25_000)]
    from: u32,
    /// How long each rate is measured
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How near to come to the highest rate
    #[arg(long, default_value_t = 0.05)]
    within: f64,
    #[command(flatten)]
    common: Common,
}

pub async fn measure(options: &Options) {
    let (mut flat, mut steep) = (None, None);
    let mut rate = options.from;
    println!("| what | figure |\n|---|---|");
    loop {
        let outcome = run(rate, options.seconds, &options.common).await;
        if outcome.is_flat {
            flat = Some((rate, outcome.stored_per_second));
        } else {
            steep = Some(rate);
        }
        let next = match (flat, steep) {
            (Some((flat, _)), None) => flat * 2,
            (None, Some(steep)) => steep / 2,
            (Some((flat, _)), Some(steep)) if f64::from(steep) > f64::from(flat) * (1.0 + options.within) => {
                u32::midpoint(flat, steep)
            }
            _ => break,
        };
        assert!(next > 100, "not even {rate} samples/s");
        rate = next;
    }
    let (rate, stored) = flat.unwrap();
    println!("| highest rate with a flat lag | {rate} samples/s wanted, {stored:.0} stored |");
}
