//! One order, from its names to its certificate (RFC 8555, 7.4), proven by DNS-01.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};

/// How long the authority may look at the zone, and then sign.
const LOOKS: RetryPolicy = RetryPolicy::new().initial_delay(Duration::from_secs(1)).timeout(Duration::from_secs(150));
const SIGNS: RetryPolicy = RetryPolicy::new().initial_delay(Duration::from_secs(1)).timeout(Duration::from_secs(60));

/// What is wanted of the authority.
pub(super) struct Wish<'a> {
    pub(super) names: &'a [String],
    /// The certificate that the new one takes the place of.
    pub(super) replaces: Option<CertificateIdentifier<'a>>,
    pub(super) profile: Option<&'a str>,
}

/// PEM: the chain, and its key.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

/// `publish` returns when the zone says these values, whichever replica is asked.
pub(super) async fn order<E: From<Error>>(
    account: &Account,
    wish: Wish<'_>,
    publish: impl AsyncFnOnce(Vec<String>) -> Result<(), E>,
) -> Result<Issued, E> {
    let names: Vec<_> = wish.names.iter().cloned().map(Identifier::Dns).collect();
    let mut new = NewOrder::new(&names);
    if let Some(replaces) = wish.replaces {
        new = new.replaces(replaces);
    }
    if let Some(profile) = wish.profile {
        new = new.profile(profile);
    }
    let mut order = account.new_order(&new).await?;
    let values = challenges(&mut order).await?;
    if !values.is_empty() {
        publish(values).await?;
        begin(&mut order).await?;
    }
    match order.poll_ready(&LOOKS).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
        Ok(OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Invalid) => {
            return Err(reason(&mut order)
                .await?
                .unwrap_or(Error::Str("the order failed, and nobody said why"))
                .into());
        }
        // The order's own error says that a name was not proven, the challenge's what was wrong with it.
        Err(Error::Api(problem)) => return Err(reason(&mut order).await?.unwrap_or(Error::Api(problem)).into()),
        Err(error) => return Err(error.into()),
    }
    let key = order.finalize().await?;
    Ok(Issued { chain: order.poll_certificate(&SIGNS).await?, key })
}

/// What the zone has to say for the names that are not proven from before.
async fn challenges(order: &mut Order) -> Result<Vec<String>, Error> {
    let mut values = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending {
            let challenge = authorization.challenge(ChallengeType::Dns01).ok_or(Error::Str("a DNS-01 challenge"))?;
            values.push(challenge.key_authorization().dns_value());
        }
    }
    Ok(values)
}

async fn begin(order: &mut Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending {
            let mut challenge =
                authorization.challenge(ChallengeType::Dns01).ok_or(Error::Str("a DNS-01 challenge"))?;
            challenge.set_ready().await?;
        }
    }
    Ok(())
}

async fn reason(order: &mut Order) -> Result<Option<Error>, Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let state = authorization.refresh().await?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
            return Ok(Some(Error::Api(problem)));
        }
    }
    Ok(None)
}
