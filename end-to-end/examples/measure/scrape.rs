//! The services' own metrics.

use std::collections::BTreeMap;
use std::ops::Sub;

/// All samples of a /metrics page: name with labels, and value.
#[derive(Clone, Default)]
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// `address` is host:port of an admin server.
    pub async fn of(client: &reqwest::Client, address: &str) -> Scrape {
        let text = client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Scrape(samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// The sum of all samples of this name with this text in their labels.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let samples = self.0.iter().filter(|(key, _)| key.split('{').next() == Some(name) && key.contains(label));
        // not 0.0 - 0.0, which is shown as -0
        samples.map(|(_, value)| *value).sum::<f64>() + 0.0
    }

    /// The smallest bound of a histogram's buckets under which all its values are; `None` without values.
    pub fn longest(&self, histogram: &str) -> Option<f64> {
        let count = self.sum(&format!("{histogram}_count"), "");
        let bucket = format!("{histogram}_bucket");
        let mut bounds: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for (key, value) in self.0.iter().filter(|(key, _)| key.split('{').next() == Some(&bucket)) {
            let bound = key.split("le=\"").nth(1)?.split('"').next()?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            let (_, sum) = bounds.entry(bound.to_bits()).or_insert((bound, 0.0));
            *sum += value;
        }
        // positive numbers are in the order of their bits
        let mut under = bounds.into_values();
        if count > 0.0 { under.find(|(_, below)| *below >= count).map(|(bound, _)| bound) } else { None }
    }
}

impl Sub<&Scrape> for &Scrape {
    type Output = Scrape;

    /// What came since an earlier scrape; counters and histograms only.
    fn sub(self, earlier: &Scrape) -> Scrape {
        let before = |key: &str| earlier.0.get(key).copied().unwrap_or_default();
        Scrape(self.0.iter().map(|(key, value)| (key.clone(), value - before(key))).collect())
    }
}
